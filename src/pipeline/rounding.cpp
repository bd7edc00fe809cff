#include "pipeline/rounding.h"

#include <cmath>
#include <numbers>

#include "core/rng.h"
#include "pipeline/fits.h"
#include "recipe/slab.h"

namespace karat {
namespace {

double sum_of_squares(const torch::Tensor& x) {
  return x.square().sum(torch::kFloat64).item<double>();
}

/// By Box and Muller's transform, two at a time.
torch::Tensor normal_numbers(std::int64_t rows, std::int64_t columns) {
  Rng rng(0);
  const torch::Tensor numbers = torch::empty({rows, columns});
  auto* to = numbers.data_ptr<float>();
  for (std::int64_t i = 0; i < numbers.numel(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(1 - rng.uniform()));
    const double angle = 2 * std::numbers::pi * rng.uniform();
    to[i] = static_cast<float>(radius * std::cos(angle));
    to[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return numbers;
}

}  // namespace

torch::Tensor rounding_error(const Layer& layer, const Grid& grid) {
  const Slabs slabs(layer, {}, grid);
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < layer.weight.size(1); begin += slabs.width()) {
    const Slab slab = slabs.cut(layer.weight, begin);
    const GridParams params = grid.fit(slab);
    parts.push_back(grid.decode(grid.encode(slab.weight, params), params) - slab.weight);
  }
  return torch::cat(parts, 1);
}

double relative_rounding_error(const Layer& layer, const Grid& grid) {
  const double whole = sum_of_squares(layer.weight);
  return whole > 0 ? sum_of_squares(rounding_error(layer, grid)) / whole : 0;
}

double normal_rounding_error(const Grid& grid) {
  return relative_rounding_error(plain_layer(normal_numbers(256, 512)), grid);
}

}  // namespace karat
