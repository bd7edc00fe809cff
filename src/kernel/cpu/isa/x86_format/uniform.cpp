// Uniform codes: a code is its own value, in a stream or, of 3, 5 and 6 bits, in blocks.
#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_scaled.h"
#include "kernel/cpu/isa/x86_tile.h"

namespace karat::KARAT_ISA {
namespace {

static_assert(kInputs % kCodeBlock == 0, "a tile has whole blocks of codes");

/// Stands for a decoder of codes in blocks, which are unpacked as wholes (x86_blocks.h).
template <int bits>
struct InBlocks {
  static constexpr int kBits = bits;
  static __m256 lane_scale() { return _mm256_set1_ps(1); }
};

/// Adds scale·Σ value·x of one block of `rows` rows, whose first input is `first`; `scale` is that
/// of group `group`, the one that the input belongs to.
template <int bits, int rows>
inline void block_dot(const MatrixView& m, std::int64_t row, std::int64_t first, std::int64_t group,
                      const float* scale, const float* x, __m256* acc) {
  alignas(32) std::byte values[rows][kCodeBlock];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r)
    unpack_block<bits>(m.codes + (row + r) * m.row_bytes + first / kLanes * bits, values[r]);
  for (std::int64_t i = 0; i < kCodeBlock; ++group, scale += kRows) {
    const std::int64_t stop = least((group + 1) * m.group - first, kCodeBlock);
    __m256 sums[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
    for (; i < stop; i += kLanes) {
      const __m256 eight = _mm256_loadu_ps(x + first + i);
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r)
        sums[r] = _mm256_fmadd_ps(Numbers<8>::load(values[r] + i), eight, sums[r]);
    }
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(scale + r), sums[r], acc[r]);
  }
}

/// Adds scale·Σ value·x of the codes [first, end) of the stream that the rows end with.
template <int bits, int rows>
inline void stream_dot(const MatrixView& m, std::int64_t row, std::int64_t first, std::int64_t end,
                       const float* scale, const float* x, __m256* acc) {
  const std::int64_t begin = first / kLanes * bits, available = m.row_bytes - begin;
  const std::int64_t room = available - kLoadBytes<bits>;
  Cursor at{m.codes + row * m.row_bytes + begin, m.row_bytes, x + first, scale};
  __m256 sums[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
  last_group<Numbers<bits>, rows>({}, at, end - first, room < 0 ? 0 : room / bits + 1, available,
                                  sums);
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r)
    acc[r] = _mm256_fmadd_ps(sums[r], Numbers<bits>::lane_scale(), acc[r]);
}

/// RowsDot of codes in blocks; `begin` is a group that begins with a block.
template <int bits, int rows>
inline void blocks_dot(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                       const float* scale, const float* x, __m256* acc) {
  const std::int64_t whole = m.in / kCodeBlock * kCodeBlock, last = least(end * m.group, m.in);
  std::int64_t i = begin * m.group;
  const auto scale_of = [&](std::int64_t g) { return scale + (g - begin) * kRows; };
  for (; i < least(last, whole); i += kCodeBlock) {
    const std::int64_t g = i / m.group;
    block_dot<bits, rows>(m, row, i, g, scale_of(g), x, acc);
  }
  while (i < last) {
    const std::int64_t g = i / m.group, stop = least((g + 1) * m.group, last);
    stream_dot<bits, rows>(m, row, i, stop, scale_of(g), x, acc);
    i = stop;
  }
}

template <int bits, int rows>
struct RowsDot<InBlocks<bits>, rows> {
  static_assert(kChunk * kLanes % kCodeBlock == 0, "chunks of groups begin with a block");
  static void add(InBlocks<bits>, const MatrixView& m, std::int64_t row, std::int64_t begin,
                  std::int64_t end, const float* scale, const float* x, __m256* acc) {
    blocks_dot<bits, rows>(m, row, begin, end, scale, x, acc);
  }
};

/// unpack_scaled of codes in blocks: whole blocks by way of bytes in order.
template <int bits>
void unpack_scaled(InBlocks<bits>, const MatrixView& m, std::int64_t row, std::int64_t rows,
                   std::int64_t begin, std::int64_t end, Tile& tile) {
  const std::int64_t first = begin / m.group, whole = least(end, m.in / kCodeBlock * kCodeBlock);
  load_stats(m, row, first, (end - 1) / m.group + 1, tile.stats);
  alignas(32) std::byte bytes[kInputs];
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* codes = m.codes + (row + r) * m.row_bytes;
    for (std::int64_t i = begin; i < whole; i += kCodeBlock)
      unpack_block<bits>(codes + i / kLanes * bits, bytes + (i - begin));
    for (std::int64_t i = begin; i < end;) {
      const std::int64_t g = i / m.group, at = (g - first) * kRows + r;
      const std::int64_t stop = least((g + 1) * m.group, i < whole ? whole : end);
      const float scale = tile.stats.scale[at], zero = tile.stats.zero[at];
      float* w = tile.w[r] + (i - begin);
      if (i < whole)
        unpack_group(Scaled<Numbers<8>>{{}, scale, zero}, bytes, kInputs, i - begin, stop - begin,
                     w);
      else
        unpack_group(Scaled<Numbers<bits>>{{}, scale, zero}, codes, m.row_bytes, i, stop, w);
      i = stop;
    }
  }
}

/// body(decoder) of the matrix's codes.
template <class Body>
void with_codes(const MatrixView& m, const Body& body) {
  if (m.bits == 2) return body(Numbers<2>{});
  const bool blocks = m.variant == 1;
  if (m.bits == 3 && blocks) return body(InBlocks<3>{});
  if (m.bits == 3) return body(Numbers<3>{});
  if (m.bits == 4) return body(Numbers<4>{});
  if (m.bits == 5 && blocks) return body(InBlocks<5>{});
  if (m.bits == 5) return body(Numbers<5>{});
  if (m.bits == 6 && blocks) return body(InBlocks<6>{});
  if (m.bits == 6) return body(Numbers<6>{});
  body(Numbers<8>{});
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  with_codes(m, [&](auto codes) { packed_rows(codes, m, input, y, row_begin, row_end); });
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  with_codes(m, [&](auto codes) { unpack_scaled(codes, m, row, rows, begin, end, tile); });
}

}  // namespace

extern const FormatKernels uniform_kernels;
const FormatKernels uniform_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
