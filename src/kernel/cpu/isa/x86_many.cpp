// Several tokens (prefill, evaluation): 16 rows × 256 inputs of W become floats in the L1 cache,
// then 4 rows × 3 tokens at a time are multiplied in registers (12 sums, 7 loads per 12
// multiplications). Blocking after Goto and van de Geijn, Anatomy of High-Performance Matrix
// Multiplication (2008).
#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_codes.h"
#include "kernel/cpu/isa/x86_trellis.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t kInputs = 256;  // 16 rows of them are 16 KiB, half an L1 cache
static_assert(kInputs <= Stats::kGroups, "groups of one input need as many statistics");
static_assert(kInputs % kCodeBlock == 0, "a tile has whole blocks of codes");

struct Tile {
  alignas(64) float w[kRows][kInputs];
  Stats stats;
  std::int64_t outlier[kRows];  // the next outlier of each row
};

template <int bits>
inline unsigned read_code(const std::byte* row, std::int64_t i) {
  const std::int64_t bit = i * bits;
  unsigned word = static_cast<unsigned>(row[bit / 8]);
  if (bit % 8 + bits > 8) word |= static_cast<unsigned>(row[bit / 8 + 1]) << 8;
  return word >> bit % 8 & ((1u << bits) - 1);
}

/// The decoder of s·(q − z) from that of q.
template <class Codes>
struct Scaled {
  static constexpr int kBits = Codes::kBits;
  Codes codes;
  float scale, zero;

  __m256 load(const std::byte* p) const {
    const __m256 s = _mm256_set1_ps(scale), z = _mm256_set1_ps(zero);
    return _mm256_mul_ps(s, _mm256_fmsub_ps(codes.load(p), Codes::lane_scale(), z));
  }
  float one(unsigned code) const { return scale * (codes.one(code) - zero); }
};

/// Weights of inputs [begin, end) of one group, w[0] being input `begin`.
template <class Weights>
inline void unpack_group(Weights decode, const std::byte* row, std::int64_t row_bytes,
                         std::int64_t begin, std::int64_t end, float* w) {
  constexpr int bits = Weights::kBits;
  std::int64_t i = begin;
  const auto one = [&] {
    w[i - begin] = decode.one(read_code<bits>(row, i));
    ++i;
  };
  while (i < end && i % kLanes != 0) one();
  for (; i + kLanes <= end; i += kLanes) {
    const std::int64_t at = i / kLanes * bits, available = row_bytes - at;
    _mm256_storeu_ps(w + (i - begin), available >= kLoadBytes<bits>
                                          ? decode.load(row + at)
                                          : load_near_end(decode, row + at, available));
  }
  while (i < end) one();
}

/// unpack_group of 3-bit codes in blocks; `begin` is a block's first input, and `end` the row's or
/// a block's.
inline void unpack_group(Scaled<InBlocks> decode, const std::byte* row, std::int64_t row_bytes,
                         std::int64_t begin, std::int64_t end, float* w) {
  const Scaled<Numbers<8>> bytes{{}, decode.scale, decode.zero};
  alignas(32) std::byte codes[kCodeBlock];
  std::int64_t i = begin;
  for (; i + kCodeBlock <= end; i += kCodeBlock) {
    unpack_block(row + i / kLanes * 3, codes);
    unpack_group(bytes, codes, kCodeBlock, 0, kCodeBlock, w + (i - begin));
  }
  if (i < end)
    unpack_group(Scaled<Numbers<3>>{{}, decode.scale, decode.zero}, row, row_bytes, i, end,
                 w + (i - begin));
}

/// Inputs [begin, end) of W's rows to tile.w; weights(r, g) is the decoder of group g of the r-th.
template <class WeightsOf>
inline void unpack_tile(const MatrixView& m, std::int64_t row, std::int64_t rows,
                        std::int64_t begin, std::int64_t end, Tile& tile,
                        const WeightsOf& weights) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* codes = m.codes + (row + r) * m.row_bytes;
    for (std::int64_t g = begin / m.group, i = begin; i < end; ++g) {
      const std::int64_t stop = least((g + 1) * m.group, end);
      unpack_group(weights(r, g), codes, m.row_bytes, i, stop, tile.w[r] + (i - begin));
      i = stop;
    }
  }
}

template <class Codes>
void unpack_scaled(Codes codes, const MatrixView& m, std::int64_t row, std::int64_t rows,
                   std::int64_t begin, std::int64_t end, Tile& tile) {
  const std::int64_t first = begin / m.group;
  load_stats(m, row, first, (end - 1) / m.group + 1, tile.stats);
  unpack_tile(m, row, rows, begin, end, tile, [&](std::int64_t r, std::int64_t g) {
    const std::int64_t at = (g - first) * kRows + r;
    return Scaled<Codes>{codes, tile.stats.scale[at], tile.stats.zero[at]};
  });
}

template <int bits>
void unpack_tables(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                   std::int64_t end, Tile& tile) {
  unpack_tile(m, row, rows, begin, end, tile,
              [&](std::int64_t r, std::int64_t g) { return load_table<bits>(m, row + r, g); });
}

/// Inputs [begin, end), from a tile's first to a tile's last; rows past `rows` of its band, which a
/// band's tiles have, are unpacked too.
template <class Code, int bits>
void unpack_trellis(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end,
                    Tile& to) {
  const std::int64_t rows = least(kRows, m.out - row);
  const __m256 zero = _mm256_set1_ps(Code::kZero);
  float scale[kRows];
  for (std::int64_t r = 0; r < rows; ++r) scale[r] = load_half(m.scales, row + r) * Code::kStep;
  const auto weights = [&](std::int64_t r, __m256 value) {
    return _mm256_mul_ps(_mm256_broadcast_ss(scale + r), _mm256_sub_ps(value, zero));
  };
  const std::byte* tile = band(m, row) + begin / kRows * (2 * rows * bits);
  std::int64_t i = 0;
  for (; begin + i + kRows <= end; i += kRows, tile += 2 * rows * bits)
    for_rows<Code, bits>(tile, rows, [&](std::int64_t r, __m256 a, __m256 b) {
      _mm256_store_ps(to.w[r] + i, weights(r, a));
      _mm256_store_ps(to.w[r] + i + kLanes, weights(r, b));
    });
  if (begin + i == end) return;
  alignas(32) float values[kRows][kRows];
  narrow_tile<Code>(tile, rows, end - begin - i, bits, values);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < kRows; k += kLanes)
      _mm256_store_ps(to.w[r] + i + k, weights(r, _mm256_load_ps(values[r] + k)));
}

void unpack_packed(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                   std::int64_t end, Tile& tile) {
  if (m.trellis)
    return with_code(m, [&](auto code, auto bits) {
      unpack_trellis<decltype(code), decltype(bits)::kBits>(m, row, begin, end, tile);
    });
  if (m.tables != nullptr) {
    if (m.bits == 2) return unpack_tables<2>(m, row, rows, begin, end, tile);
    if (m.bits == 3) return unpack_tables<3>(m, row, rows, begin, end, tile);
    return unpack_tables<4>(m, row, rows, begin, end, tile);
  }
  if (m.values != nullptr)
    return unpack_scaled(load_list(m.values), m, row, rows, begin, end, tile);
  if (m.bits == 2) return unpack_scaled(Numbers<2>{}, m, row, rows, begin, end, tile);
  if (m.blocks) return unpack_scaled(InBlocks{}, m, row, rows, begin, end, tile);
  if (m.bits == 3) return unpack_scaled(Numbers<3>{}, m, row, rows, begin, end, tile);
  if (m.bits == 4) return unpack_scaled(Numbers<4>{}, m, row, rows, begin, end, tile);
  unpack_scaled(Numbers<8>{}, m, row, rows, begin, end, tile);
}

/// Adds the outliers of columns [begin, end); those before were added by earlier tiles.
void add_outliers(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                  std::int64_t end, Tile& tile) {
  if (m.outlier_offsets == nullptr) return;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (begin == 0) tile.outlier[r] = m.outlier_offsets[row + r];
    for (std::int64_t& k = tile.outlier[r]; k < m.outlier_offsets[row + r + 1]; ++k) {
      std::uint16_t column;
      std::memcpy(&column, m.outlier_columns + 2 * k, 2);
      if (column >= end) break;
      tile.w[r][column - begin] += load_half(m.outlier_values, k);
    }
  }
}

void fill_dense(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                std::int64_t end, Tile& tile) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t at = (row + r) * m.in;
    std::int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      _mm256_store_ps(tile.w[r] + (i - begin), load_dense(m.store, m.dense, at + i));
    if (i < end)
      _mm256_store_ps(tile.w[r] + (i - begin), load_dense_tail(m.store, m.dense, at + i, end - i));
  }
}

/// Rows from `row` (`rows` of them) and inputs [begin, end) of W to tile.w; what pads them to whole
/// registers and to 4 rows is finite and is multiplied by nothing that counts.
void fill(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
          std::int64_t end, Tile& tile) {
  if (m.store != MatrixView::Store::packed) return fill_dense(m, row, rows, begin, end, tile);
  unpack_packed(m, row, rows, begin, end, tile);
  add_outliers(m, row, rows, begin, end, tile);
}

/// Tokens whose sums with 4 rows fill most registers.
constexpr int kTogether = Wide::kLanes > 8 ? 6 : 3;

/// sums[t] = the products of 4 rows of the tile with n inputs of `tokens` tokens.
template <int tokens>
inline void multiply_4(const float (*w)[kInputs], const float* x, std::int64_t stride,
                       std::int64_t n, Four* sums) {
  Wide::Vector acc[tokens][4];
  KARAT_UNROLL
  for (int t = 0; t < tokens; ++t) KARAT_UNROLL
  for (int r = 0; r < 4; ++r) acc[t][r] = Wide::zeros();
  const auto step = [&](std::int64_t i, const auto& load) {
    Wide::Vector xs[tokens];
    KARAT_UNROLL
    for (int t = 0; t < tokens; ++t) xs[t] = load(x + t * stride + i);
    KARAT_UNROLL
    for (int r = 0; r < 4; ++r) {
      const Wide::Vector ws = Wide::load(w[r] + i);
      KARAT_UNROLL
      for (int t = 0; t < tokens; ++t) acc[t][r] = fma(ws, xs[t], acc[t][r]);
    }
  };
  std::int64_t i = 0;
  for (; i + Wide::kLanes <= n; i += Wide::kLanes)
    step(i, [](const float* p) { return Wide::load(p); });
  if (i < n) step(i, [rest = n - i](const float* p) { return Wide::load_first(p, rest); });
  KARAT_UNROLL
  for (int t = 0; t < tokens; ++t)
    sums[t] = sum_lanes(fold(acc[t][0]), fold(acc[t][1]), fold(acc[t][2]), fold(acc[t][3]));
}

/// multiply_4 of `count` <= `most` tokens.
template <int most>
inline void multiply_some(const float (*w)[kInputs], const float* x, std::int64_t stride,
                          std::int64_t n, std::int64_t count, Four* sums) {
  if (count == most) return multiply_4<most>(w, x, stride, n, sums);
  if constexpr (most > 1) multiply_some<most - 1>(w, x, stride, n, count, sums);
}

/// The tile's rows × inputs with all tokens.
void multiply_tile(const Tile& tile, const float* x, std::int64_t in, std::int64_t n,
                   std::int64_t tokens, std::int64_t rows, bool add, float* y, std::int64_t out) {
  for (std::int64_t t = 0; t < tokens; t += kTogether) {
    const std::int64_t count = least(kTogether, tokens - t);
    for (std::int64_t r = 0; r < rows; r += 4) {
      Four sums[kTogether];
      multiply_some<kTogether>(tile.w + r, x + t * in, in, n, count, sums);
      add_sums(sums, count, least(4, rows - r), add, y + t * out + r, out);
    }
  }
}

}  // namespace

void multiply_many(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                   std::int64_t row_end) {
  Tile tile;
  std::memset(tile.w, 0, sizeof tile.w);
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, row_end - row);
    for (std::int64_t begin = 0; begin < m.in; begin += kInputs) {
      const std::int64_t end = least(begin + kInputs, m.in);
      fill(m, row, rows, begin, end, tile);
      multiply_tile(tile, input.x + begin, m.in, end - begin, input.tokens, rows, begin != 0,
                    y + row, m.out);
    }
  }
}

}  // namespace karat::KARAT_ISA
