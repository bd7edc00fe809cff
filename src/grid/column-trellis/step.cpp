#include "grid/column-trellis/step.h"

#include <algorithm>
#include <vector>

#include "core/platform.h"

namespace karat {
namespace {

/// The cost of a seam where those of sums are counted.
std::uint8_t before(std::uint8_t seam, bool wide) {
  return wide && seam < kMostCost ? seam >> kWideShift : seam;
}

/// What the least of a seam's costs makes its cost.
std::uint8_t after(std::uint8_t found, int least, bool wide) {
  const int shift = wide ? kWideShift : 0, cost = found - least;
  const bool most = found >= kMostCost || cost > kMostCost >> shift;
  return static_cast<std::uint8_t>(most ? kMostCost : cost << shift);
}

/// Costs [n] of the sums near + far.
void look_up(const SumCosts& costs, const std::uint8_t* near, int far, std::int64_t n,
             std::uint8_t* to) {
  if (costs.wide) {
    for (std::int64_t q = 0; q < n; ++q) to[q] = costs.cost[near[q] + far];
    return;
  }
  const auto lowest = static_cast<std::uint8_t>(costs.lowest - far);
  for (std::int64_t q = 0; q < n; ++q)
    to[q] = std::min<std::uint8_t>(static_cast<std::uint8_t>(near[q] - lowest), kNarrowSums);
  look_up_bytes(costs.cost, to, n);
}

int step_any(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
             std::uint8_t* to) {
  thread_local std::vector<std::uint8_t> best, some;
  const std::int64_t choices = std::int64_t{1} << sums.bits, between = sums.between;
  best.assign(static_cast<std::size_t>(choices * between), 255);
  some.resize(static_cast<std::size_t>(between));
  for (std::int64_t c = 0; c < choices; ++c)
    for (std::int64_t o = 0; o < choices; ++o) {
      look_up(costs, sums.near + c * between, sums.far[c ^ o], between, some.data());
      for (std::int64_t q = 0; q < between; ++q)
        best[c * between + q] = std::min(
            best[c * between + q],
            static_cast<std::uint8_t>(before(from[q * choices + o], costs.wide) + some[q]));
    }
  const int least = *std::ranges::min_element(best);
  for (const std::uint8_t found : best) *to++ = after(found, least, costs.wide);
  return least;
}

}  // namespace

std::span<const ColumnStep> column_steps() {
  static constexpr ColumnStep kSteps[] = {step_any, step_avx2, step_avx512};
  return {kSteps, has_avx512() ? 3u : has_avx2() ? 2u : 1u};
}

}  // namespace karat
