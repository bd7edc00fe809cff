// Σ value·x[column] over the outliers of rows. Some eight of them take as long as memory takes for
// a line of codes, so what is read next is asked for meanwhile.
#pragma once

#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

#if defined(__AVX512F__)
/// A sum over outliers, kTogether at a time.
struct OutlierSum {
  static constexpr std::int64_t kTogether = 16;
  __m512 sum = _mm512_setzero_ps();

  /// n <= kTogether of them, beginning with the k-th of the matrix.
  void add(const MatrixView& m, std::int64_t k, std::int64_t n, const float* x) {
    const auto first = static_cast<__mmask16>((1 << n) - 1);
    const __m256i columns = _mm256_maskz_loadu_epi16(first, m.outlier_columns + 2 * k);
    const __m256i halves = _mm256_maskz_loadu_epi16(first, m.outlier_values + 2 * k);
    const __m512 inputs =
        _mm512_mask_i32gather_ps(_mm512_setzero_ps(), first, _mm512_cvtepu16_epi32(columns), x, 4);
    sum = _mm512_fmadd_ps(_mm512_cvtph_ps(halves), inputs, sum);
  }
  float total() const { return sum_lanes(fold(sum)); }
};
#else
/// A sum over outliers, kTogether at a time. Inputs are loaded one by one: before AVX-512 a gather
/// takes more instructions inside than these.
struct OutlierSum {
  static constexpr std::int64_t kTogether = kLanes;
  float sums[2] = {};

  /// n <= kTogether of them, beginning with the k-th of the matrix. Those that come after are read
  /// too, times zero, for a loop over what is left over would cost a wrong guess a row.
  void add(const MatrixView& m, std::int64_t k, std::int64_t n, const float* x) {
    std::uint16_t columns[kLanes] = {};
    std::byte halves[2 * kLanes] = {};
    if (k + kLanes <= m.outlier_offsets[m.out]) {  // of a size that makes a copy one load
      std::memcpy(columns, m.outlier_columns + 2 * k, sizeof columns);
      std::memcpy(halves, m.outlier_values + 2 * k, sizeof halves);
    } else {
      std::memcpy(columns, m.outlier_columns + 2 * k, static_cast<std::size_t>(2 * n));
      std::memcpy(halves, m.outlier_values + 2 * k, static_cast<std::size_t>(2 * n));
    }
    alignas(32) float values[kLanes];
    store(values, keep_first(load_halves(halves), n));
    KARAT_UNROLL
    for (std::int64_t i = 0; i < kLanes; ++i)
      sums[i % 2] = __builtin_fmaf(values[i], x[columns[i]], sums[i % 2]);
  }
  float total() const { return sums[0] + sums[1]; }
};
#endif

/// y[r] += Σ value·x[column] over the outliers of row + r. As many are added of every row, so that
/// the processor guesses wrong once and not once a row; unless one row has far more than the
/// others. `next` with its rows [m.row_bytes] is asked for into L2, a line each time.
template <int rows>
[[maybe_unused]] inline void dot_outliers(const MatrixView& m, std::int64_t row, const float* x,
                                          const std::byte* next, float* y) {
  if (m.outlier_offsets == nullptr) return;
  constexpr std::int64_t kTogether = OutlierSum::kTogether, kLine = 64;
  const std::uint32_t* begin = m.outlier_offsets + row;
  const auto count = [begin](int r) { return std::int64_t{begin[r + 1]} - begin[r]; };
  std::int64_t most = 0;
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) most = most < count(r) ? count(r) : most;
  if (rows * most > 2 * (begin[rows] - begin[0]) + rows * kTogether) {
    for (int r = 0; r < rows; ++r) dot_outliers<1>(m, row + r, x, next + r * m.row_bytes, y + r);
    return;
  }
  OutlierSum sums[rows];
  for (std::int64_t k = 0; k < most; k += kTogether, next += kLine) {
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const std::int64_t left = least(kTogether, count(r) - k);
      __builtin_prefetch(next + r * m.row_bytes, 0, 2);
      sums[r].add(m, begin[r] + k, left < 0 ? 0 : left, x);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) y[r] += sums[r].total();
}

[[maybe_unused]] inline float outlier_dot(const MatrixView& m, std::int64_t row, const float* x) {
  float dot = 0;
  dot_outliers<1>(m, row, x, m.codes + (row + 1) * m.row_bytes, &dot);
  return dot;
}

}  // namespace
}  // namespace karat::KARAT_ISA
