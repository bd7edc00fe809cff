// What the tests of several axes share: the plainest grids.
#pragma once

#include <limits>

#include "karat/axes.h"

namespace karat::testing {

/// The plainest grid there is: per group and row, whole multiples of max|w| / 3.
inline Grid test_grid(std::int64_t group) {
  return {.group = group,
          .fit = [](const Slab& slab) -> GridParams {
            const torch::Tensor counted =
                slab.kept.defined() ? slab.weight.masked_fill(slab.kept, 0) : slab.weight;
            return {counted.abs().amax(1, true).clamp_min(1e-6) / 3};
          },
          .encode = [](const auto& weight, const GridParams& params) -> torch::Tensor {
            return (weight / params[0]).round().clamp(-3, 3);
          },
          .decode = [](const auto& codes, const GridParams& params) -> torch::Tensor {
            return codes * params[0];
          }};
}

/// Per group and row, `steps` even steps from the lowest weight to the highest.
inline Grid range_grid(std::int64_t group, std::int64_t steps = 7) {
  constexpr float kFar = std::numeric_limits<float>::infinity();
  Grid grid = {.group = group,
               .fit = [steps](const Slab& slab) -> GridParams {
                 const Kept kept =
                     slab.kept.defined() ? slab.kept : torch::zeros_like(slab.weight, torch::kBool);
                 const torch::Tensor low = slab.weight.masked_fill(kept, kFar).amin(1, true);
                 const torch::Tensor high = slab.weight.masked_fill(kept, -kFar).amax(1, true);
                 return {torch::where(low < high, (high - low) / steps, 1), low.clamp_max(1e9)};
               },
               .encode = [steps](const auto& weight, const GridParams& params) -> torch::Tensor {
                 return ((weight - params[1]) / params[0]).round().clamp(0, steps);
               },
               .decode = [](const auto& codes, const GridParams& params) -> torch::Tensor {
                 return codes * params[0] + params[1];
               }};
  grid.fit_rows = grid.fit;
  return grid;
}

}  // namespace karat::testing
