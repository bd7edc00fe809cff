// The outliers of several tokens, from the activations as they were.
#pragma once

#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t kChunk = 32;  // tokens whose sums of one row's outliers stay in registers

/// sums = Σ value · x over the outliers of a row, for kChunk tokens from `t`.
inline void outlier_sums(const MatrixView& m, const KernelInput& input, std::int64_t row,
                         std::int64_t t, float* sums) {
  Eight acc[kChunk / kLanes];
  for (Eight& one : acc) one = all(0);
  for (std::int64_t k = m.outlier_offsets[row]; k < m.outlier_offsets[row + 1]; ++k) {
    std::uint16_t column;
    std::memcpy(&column, m.outlier_columns + 2 * k, 2);
    const Eight value = all(load_half(m.outlier_values, k));
    const float* x = input.transposed + column * input.transposed_stride + t;
    for (std::int64_t i = 0; i < kChunk / kLanes; ++i)
      acc[i] = fma(value, load(x + i * kLanes), acc[i]);
  }
  for (std::int64_t i = 0; i < kChunk / kLanes; ++i) store(sums + i * kLanes, acc[i]);
}

constexpr std::int64_t kOutlierRows = 16;  // taken together

/// Adds the outliers of at most kOutlierRows rows to y.
inline void add_strip_outliers(const MatrixView& m, const KernelInput& input, std::int64_t row,
                               std::int64_t rows, float* y) {
  for (std::int64_t t = 0; t < input.tokens; t += kChunk) {
    alignas(32) float sums[kOutlierRows][kChunk];
    for (std::int64_t r = 0; r < rows; ++r) outlier_sums(m, input, row + r, t, sums[r]);
    for (std::int64_t i = 0; i < least(kChunk, input.tokens - t); ++i)
      for (std::int64_t r = 0; r < rows; ++r) y[(t + i) * m.out + row + r] += sums[r][i];
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
