// The code of a trellis whose sequences run down the columns of a matrix: a weight's value is a sum
// of look-ups in tables of 16 bytes, which a register holds. Data alone: units compiled for one
// instruction set include it.
#pragma once

#include <cstdint>

namespace karat {

/// Rows of a sequence. It is closed: above its first row comes its last.
inline constexpr std::int64_t kSegmentRows = 256;

/// With c[0] the code of a row and c[r] that of the r-th row above it in the same column, the
/// index into table t is bits shift[t] … shift[t] + 3 of ⊕ factor[t][r] ⊗ c[r], where ⊗ multiplies
/// without carries, and
///     value = (Σ table[t][index] − zero) · step.
/// The oldest code meets c[0] alone, in table 0; a search is faster for it.
struct ColumnCode {
  static constexpr int kTables = 3, kMostRows = 7;
  int bits;  // of a code
  int rows;  // whose codes make a value: its own and those above
  std::uint8_t factor[kTables][kMostRows];
  std::uint8_t shift[kTables];
  std::uint8_t table[kTables][16];
  int zero;    // the sum that stands for 0
  float step;  // sums are below 8 / step: 64 of 2 to 4 bits, 128 of 5
};

/// Of 2 to 5 bits; their values are those that suit normal numbers of deviation 1.
const ColumnCode& column_code(int bits);

/// The row whose codes are c[r] of `row`, in a matrix of `out` rows. Static: each unit has its own.
[[maybe_unused]] static constexpr std::int64_t row_above(std::int64_t row, std::int64_t r,
                                                         std::int64_t out) {
  const std::int64_t first = row / kSegmentRows * kSegmentRows;
  const std::int64_t rows = out - first < kSegmentRows ? out - first : kSegmentRows;
  const std::int64_t place = (row - first - r) % rows;
  return first + (place < 0 ? place + rows : place);
}

/// Σ table[t][index] of tables [first, last) for `codes` [rows], c[0] first; of all it is the
/// number that the codes stand for.
int column_sum(const ColumnCode& code, const std::uint8_t* codes, int first, int last);
inline int column_sum(const ColumnCode& code, const std::uint8_t* codes) {
  return column_sum(code, codes, 0, ColumnCode::kTables);
}

}  // namespace karat
