// A column of a matrix as sequences of codes, one for each segment of its rows.
#pragma once

#include "format/codec/column-trellis/code.h"
#include "grid/shared/closed_search.h"

namespace karat {

/// Values of all states of codes of 2 to 5 bits [2^state_bits], before the row's scale: c[0], the
/// code of the row, is lowest, the codes of the rows above it follow. Computed once.
const float* column_values(int bits);

class ColumnSearch {
 public:
  /// `most_lanes`: see TrellisSearch.
  explicit ColumnSearch(int bits, int most_lanes = 16);
  /// Codes for x [n], the rows of a segment from top to bottom.
  void encode(const float* x, std::int64_t n, std::uint8_t* codes);

 private:
  ClosedSearch search_;
};

/// The values of a segment's codes.
void decode_column(int bits, const std::uint8_t* codes, std::int64_t n, float* values);

}  // namespace karat
