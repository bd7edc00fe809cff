// What the tests of solvers share: a layer, and the error of its output.
#pragma once

#include "karat/axes.h"
#include "recipe/testing.h"

namespace karat::testing {

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
