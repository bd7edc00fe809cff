// One row of the search through a column's codes. A seam is the codes of rows next to each other,
// the lowest row's in its lowest bits, that tell what values the row below them can have; its cost
// is that of the best path to it.
#pragma once

#include <cstdint>
#include <span>

namespace karat {

/// What the rows of a column have in common: the sum of a row is near[c][q] + far[c][o], c being
/// its code, o the oldest that it depends on and q those between, which the seams above and below
/// it share.
struct ColumnSums {
  int bits;                 // of a code
  std::int64_t between;     // values of q; a multiple of 32
  const std::uint8_t* near;  // [2^bits, between]
  const std::uint8_t* far;   // [2^bits, 2^bits]
};

/// The cost of a sum: cost[sum − lowest], in steps of one, or cost[15] beyond these. Entries are at
/// most kMostCost, so that two of them fit a byte.
inline constexpr std::uint8_t kMostCost = 127;
struct SumCosts {
  int lowest;
  std::uint8_t cost[16];
};

/// to[q·2^bits + c] = least of from[o·between + q] + the sum's cost over all o, less the least of
/// all, at most kMostCost. from and to [between · 2^bits]; from is at most kMostCost.
using ColumnStep = void (*)(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
                            std::uint8_t* to);

/// Those that this CPU can run, which give the same; the fastest comes last.
std::span<const ColumnStep> column_steps();

}  // namespace karat
