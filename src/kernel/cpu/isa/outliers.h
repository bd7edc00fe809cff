// Σ value·x[column] over the outliers of rows, eight at a time.
#pragma once

#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

/// value·x[column] of eight outliers, beginning with the k-th of the matrix.
[[maybe_unused]] inline Eight outlier_products(const MatrixView& m, std::int64_t k,
                                               const float* x) {
  return mul(load_halves(m.outlier_values + 2 * k), gather(x, m.outlier_columns + 2 * k));
}

/// The same of the first n < 8; nothing past them is read.
[[maybe_unused]] inline Eight last_outlier_products(const MatrixView& m, std::int64_t k,
                                                    std::int64_t n, const float* x) {
  std::byte columns[2 * kLanes] = {};
  std::memcpy(columns, m.outlier_columns + 2 * k, static_cast<std::size_t>(2 * n));
  const Eight values = load_first_halves(m.outlier_values + 2 * k, n);
  return keep_first(mul(values, gather(x, columns)), n);
}

/// A row's sum; 0 for a matrix without outliers.
[[maybe_unused]] inline float outlier_dot(const MatrixView& m, std::int64_t row, const float* x) {
  if (m.outlier_offsets == nullptr) return 0;
  std::int64_t k = m.outlier_offsets[row];
  const std::int64_t end = m.outlier_offsets[row + 1];
  Eight sum = all(0);
  for (; k + kLanes <= end; k += kLanes) sum = add(sum, outlier_products(m, k, x));
  if (k < end) sum = add(sum, last_outlier_products(m, k, end - k, x));
  return sum_lanes(sum);
}

/// The sums of four rows. Products are taken in the order of the file, whatever row they belong to,
/// and some before each row: taken all at once they would keep the core so long from asking for
/// codes that memory idles.
class FourOutliers {
 public:
  static constexpr int kRows = 4;

  /// How many eights are taken before each row and before all four; and where products lie.
  struct Plan {
    static constexpr std::int64_t kRoom = 1024;
    std::int64_t eights = 0, planned = 0;
    explicit Plan(const MatrixView& m) {
      if (m.outlier_offsets == nullptr) return;
      eights = (m.outlier_offsets[m.out] + m.out * kLanes - 1) / (m.out * kLanes);
      planned = kRows * eights;
    }
    alignas(32) float products[kRoom];
  };

  FourOutliers(const MatrixView& m, std::int64_t row, const float* x, Plan& plan)
      : m_(m), plan_(plan), x_(x), row_(row) {
    if (m.outlier_offsets == nullptr) return;
    begin_ = m.outlier_offsets + row;
    const std::int64_t first = begin_[0], last = begin_[kRows];
    end_ = last - first;
    KARAT_UNROLL
    for (int r = 0; r < kRows; ++r) most_ = most_ < count(r) ? count(r) : most_;
    const std::int64_t eights = (end_ + kLanes - 1) / kLanes;
    const std::int64_t read = kLanes * (eights < plan.planned ? plan.planned : eights);
    const std::int64_t added = end_ + most_ + kLanes;  // the last row, as far as the longest
    by_row_ = read > Plan::kRoom || added > Plan::kRoom || first + read > m.outlier_offsets[m.out];
  }

  /// Before each row.
  void take_some() {
    if (by_row_) return;
    for (std::int64_t i = 0; i < plan_.eights; ++i) take_eight();
  }

  Four sums() {
    if (by_row_) return sums_by_row();
    while (taken_ < end_) take_eight();
    Eight sums[kRows];
    KARAT_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r] = all(0);
    // As many are added of every row, so that the processor guesses wrong once and not once a row.
    for (std::int64_t k = 0; k < most_; k += kLanes) KARAT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float* from = plan_.products + (begin_[r] - begin_[0]) + k;
      sums[r] = add(sums[r], keep_first(load(from), count(r) - k));
    }
    return sum_lanes(sums[0], sums[1], sums[2], sums[3]);
  }

 private:
  std::int64_t count(int r) const { return std::int64_t{begin_[r + 1]} - begin_[r]; }

  /// Those that come 2 KiB later are requested.
  void take_eight() {
    constexpr std::int64_t kAhead = 2048;
    const std::int64_t k = begin_[0] + taken_;
    __builtin_prefetch(m_.outlier_columns + 2 * k + kAhead, 0, 3);
    __builtin_prefetch(m_.outlier_values + 2 * k + kAhead, 0, 3);
    store(plan_.products + taken_, outlier_products(m_, k, x_));
    taken_ += kLanes;
  }

  Four sums_by_row() const {
    alignas(16) float sums[kRows];
    for (int r = 0; r < kRows; ++r) sums[r] = outlier_dot(m_, row_ + r, x_);
    return load_four(sums);
  }

  static constexpr std::uint32_t kNone[kRows + 1] = {};
  const MatrixView& m_;
  Plan& plan_;
  const float* x_;
  std::int64_t row_;
  const std::uint32_t* begin_ = kNone;           // [kRows + 1]
  std::int64_t taken_ = 0, end_ = 0, most_ = 0;  // products; most_ of one row
  bool by_row_ = false;
};

}  // namespace
}  // namespace karat::KARAT_ISA
