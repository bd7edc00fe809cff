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

/// Adds Σ value·x of n inputs, whole blocks, to sums, lanes apart, for `rows` rows.
template <int bits, int rows>
inline void whole_blocks(const std::byte* codes, std::int64_t stride, const float* x,
                         std::int64_t n, __m256* sums) {
  alignas(32) std::byte values[rows][kCodeBlock];
  for (; n > 0; n -= kCodeBlock, codes += kCodeBlock * bits / 8, x += kCodeBlock) {
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) unpack_block<bits>(codes + r * stride, values[r]);
    for (std::int64_t i = 0; i < kCodeBlock; i += kLanes) {
      const __m256 eight = _mm256_loadu_ps(x + i);
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r)
        sums[r] = _mm256_fmadd_ps(Numbers<8>::load(values[r] + i), eight, sums[r]);
    }
  }
}

/// Adds scale·Σ value·x of the stream of n < 128 codes that the rows end with.
template <int bits, int rows>
inline void last_stream(const MatrixView& m, std::int64_t row, std::int64_t n, const float* scale,
                        const float* x, __m256* acc) {
  const std::int64_t first = m.in - n, begin = first / kLanes * bits,
                     available = m.row_bytes - begin;
  const std::int64_t room = available - kLoadBytes<bits>;
  Cursor at{m.codes + row * m.row_bytes + begin, m.row_bytes, x + first, scale};
  __m256 sums[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
  last_group<Numbers<bits>, rows>({}, at, n, room < 0 ? 0 : room / bits + 1, available, sums);
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r)
    acc[r] = _mm256_fmadd_ps(sums[r], Numbers<bits>::lane_scale(), acc[r]);
}

/// RowsDot of codes in blocks, of which groups have whole numbers but for the row's end.
template <int bits, int rows>
inline void blocks_dot(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                       const float* scale, const float* x, __m256* acc) {
  const std::byte* codes = m.codes + row * m.row_bytes;
  const std::int64_t whole = m.in / kCodeBlock * kCodeBlock;
  for (std::int64_t g = begin; g < end; ++g, scale += kRows) {
    const std::int64_t first = g * m.group, last = least(first + m.group, m.in);
    __m256 sums[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) sums[r] = _mm256_setzero_ps();
    whole_blocks<bits, rows>(codes + first / kLanes * bits, m.row_bytes, x + first,
                       least(last, whole) - first, sums);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_broadcast_ss(scale + r), sums[r], acc[r]);
    if (last > whole) last_stream<bits, rows>(m, row, last - whole, scale, x, acc);
  }
}

template <int bits, int rows>
struct RowsDot<InBlocks<bits>, rows> {
  static void add(InBlocks<bits>, const MatrixView& m, std::int64_t row, std::int64_t begin,
                  std::int64_t end, const float* scale, const float* x, __m256* acc) {
    blocks_dot<bits, rows>(m, row, begin, end, scale, x, acc);
  }
};

/// unpack_group of codes in blocks; `begin` is a block's first input, and `end` the row's or
/// a block's.
template <int bits>
inline void unpack_group(Scaled<InBlocks<bits>> decode, const std::byte* row,
                         std::int64_t row_bytes, std::int64_t begin, std::int64_t end, float* w) {
  const Scaled<Numbers<8>> bytes{{}, decode.scale, decode.zero};
  alignas(32) std::byte codes[kCodeBlock];
  std::int64_t i = begin;
  for (; i + kCodeBlock <= end; i += kCodeBlock) {
    unpack_block<bits>(row + i / kLanes * bits, codes);
    unpack_group(bytes, codes, kCodeBlock, 0, kCodeBlock, w + (i - begin));
  }
  if (i < end)
    unpack_group(Scaled<Numbers<bits>>{{}, decode.scale, decode.zero}, row, row_bytes, i, end,
                 w + (i - begin));
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
