// Several tokens (prefill, evaluation): 16 rows × 256 inputs of W become floats in the L1 cache,
// then 4 rows × 3 tokens at a time are multiplied in registers (12 sums, 7 loads per 12
// multiplications). Blocking after Goto and van de Geijn, Anatomy of High-Performance Matrix
// Multiplication (2008).
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

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
void fill(const MatrixView& m, const FormatKernels* format, std::int64_t row, std::int64_t rows,
          std::int64_t begin, std::int64_t end, Tile& tile) {
  if (m.store != MatrixView::Store::packed) return fill_dense(m, row, rows, begin, end, tile);
  format->unpack(m, row, rows, begin, end, tile);
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
  const FormatKernels* format = format_of(m, input);
  Tile tile;
  std::memset(tile.w, 0, sizeof tile.w);
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, row_end - row);
    for (std::int64_t begin = 0; begin < m.in; begin += kInputs) {
      const std::int64_t end = least(begin + kInputs, m.in);
      fill(m, format, row, rows, begin, end, tile);
      multiply_tile(tile, input.x + begin, m.in, end - begin, input.tokens, rows, begin != 0,
                    y + row, m.out);
    }
  }
}

}  // namespace karat::KARAT_ISA
