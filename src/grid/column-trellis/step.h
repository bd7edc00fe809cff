// One row of the search through a column's codes. A seam is the codes of rows next to each other,
// the highest row's in its lowest bits, that tell what values the row below them can have; its cost
// is that of the best path to it.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace karat {

/// What the rows of a column have in common: the sum of a row is near[c][q] + far[c ^ o], c being
/// its code, o the oldest that it depends on and q those between, which the seams above and below
/// it share, the highest row's in its lowest bits.
struct ColumnSums {
  int bits;                  // of a code
  std::int64_t between;      // values of q; a multiple of 32
  const std::uint8_t* near;  // [2^bits, between]
  const std::uint8_t* far;   // [2^bits]
};

/// The cost of a sum. Narrow: cost[sum − lowest], or cost[15] where that is none of 0 … 14. Wide:
/// cost[sum], whatever the sum; its unit is kWideUnit times that of the costs of seams. At most
/// kMostCost, so that two of them fit a byte.
inline constexpr std::uint8_t kMostCost = 127;  // of a seam: so much or more
inline constexpr int kWideUnit = 4, kNarrowSums = 15, kWideSums = 128;
struct SumCosts {
  bool wide;
  int lowest;
  std::uint8_t cost[kWideSums];
};

/// to[c·between + q] = least of from[q·2^bits + o] + the sum's cost over all o, less the least of
/// all; kMostCost stays what it is. from and to [between · 2^bits]; one of from is 0. Returns the
/// least of all: from kMostCost on, no path goes on and `to` tells nothing.
using ColumnStep = int (*)(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
                           std::uint8_t* to);

/// What of the costs of seams has another unit where the costs of sums are wide.
inline constexpr int kWideShift = std::countr_zero(unsigned{kWideUnit});

/// Twins, for CPUs that have the set; AVX-512's are F, BW, DQ and VL.
int step_avx2(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
              std::uint8_t* to);
int step_avx512(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
                std::uint8_t* to);

/// Those that this CPU can run, which give the same; the fastest comes last.
std::span<const ColumnStep> column_steps();

}  // namespace karat
