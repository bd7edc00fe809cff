// A column of a matrix as closed sequences of codes, one for each segment of its rows.
#pragma once

#include <vector>

#include "format/codec/column-trellis/code.h"
#include "grid/column-trellis/step.h"

namespace karat {

/// The search for the codes whose values come closest to given numbers (Viterbi's algorithm).
/// Costs are bytes: rounding them costs less than one part in a thousand.
class ColumnSearch {
 public:
  /// Of codes of 2 to 5 bits. `step`: one of column_steps(), all of which find the same.
  explicit ColumnSearch(int bits, ColumnStep step = column_steps().back());
  /// Codes for x [n], the rows of a segment from top to bottom. Two passes: the first, over rows
  /// around the seam of end and beginning, finds the codes that these share; the second has them
  /// fixed. Of sequences of at most 16 bits all are tried.
  void encode(const float* x, std::int64_t n, std::uint8_t* codes);

 private:
  static constexpr int kFree = -1;
  int search(const float* x, std::int64_t n, int seam, std::int64_t at, std::uint8_t* codes);
  void search_all(const float* x, std::int64_t n, std::uint8_t* codes) const;
  SumCosts costs_of(float place, bool wide) const;

  const ColumnCode& code_;
  ColumnStep step_;
  float finest_;                          // unit_ of numbers of deviation 1
  float unit_;                            // of a cost, in squares of code_.step
  int least_ = 0, most_ = 0;              // sums
  std::vector<std::uint8_t> near_, far_;  // ColumnSums
  ColumnSums sums_;
  std::vector<std::uint8_t> costs_;  // [n + 1, seams]
};

/// The values of a segment's codes, before the row's scale.
void decode_column(int bits, const std::uint8_t* codes, std::int64_t n, float* values);

}  // namespace karat
