// What the tests of solvers share: the plainest grid, a layer, the error of its output.
#pragma once

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

/// Per group and row, eight even steps from the lowest weight to the highest.
inline Grid range_grid(std::int64_t group) {
  constexpr float kFar = std::numeric_limits<float>::infinity();
  Grid grid = {.group = group,
               .fit = [](const Slab& slab) -> GridParams {
                 const Kept kept =
                     slab.kept.defined() ? slab.kept : torch::zeros_like(slab.weight, torch::kBool);
                 const torch::Tensor low = slab.weight.masked_fill(kept, kFar).amin(1, true);
                 const torch::Tensor high = slab.weight.masked_fill(kept, -kFar).amax(1, true);
                 return {torch::where(low < high, (high - low) / 7, 1), low.clamp_max(1e9)};
               },
               .encode = [](const auto& weight, const GridParams& params) -> torch::Tensor {
                 return ((weight - params[1]) / params[0]).round().clamp(0, 7);
               },
               .decode = [](const auto& codes, const GridParams& params) -> torch::Tensor {
                 return codes * params[0] + params[1];
               }};
  grid.fit_rows = grid.fit;
  return grid;
}

inline torch::Tensor decode(const Solution& solution, const Grid& grid) {
  const std::int64_t width = grid.group_size(solution.codes.size(1));
  std::vector<torch::Tensor> parts;
  for (std::size_t i = 0; const auto& codes : solution.codes.split(width, 1))
    parts.push_back(grid.decode(codes, solution.params[i++]));
  const torch::Tensor dense = torch::cat(parts, 1);
  return solution.kept.defined() ? torch::where(solution.kept, solution.weight, dense) : dense;
}

inline Solution solve(Solver (*factory)(Options&), const Layer& layer, const Kept& kept,
                      const Grid& grid, const std::string& text = "") {
  Options options("solver", text);
  return factory(options).solve(layer, kept, grid);
}

/// Weights [out, in] and the Hessian of inputs that are correlated through a random mixing.
inline Layer random_layer(std::int64_t out, std::int64_t in, std::uint64_t seed) {
  torch::manual_seed(seed);
  const torch::Tensor x = torch::matmul(torch::randn({4 * in, in}), torch::randn({in, in}));
  Layer layer{.name = "layer", .weight = torch::randn({out, in}) * 0.1};
  layer.stats.hessian = torch::matmul(x.t(), x) * (2.0 / (4.0 * static_cast<double>(in)));
  return layer;
}

/// Σ over rows of eᵀHe in double, e = decoded − w.
inline double output_error(const Layer& layer, const torch::Tensor& decoded) {
  const torch::Tensor error = (decoded - layer.weight).to(torch::kFloat64);
  return (error.matmul(layer.stats.hessian.to(torch::kFloat64)) * error).sum().item<double>();
}

}  // namespace karat::testing
