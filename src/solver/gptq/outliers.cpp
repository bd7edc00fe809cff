#include "solver/gptq/outliers.h"

namespace karat {
namespace {

torch::Tensor error_of(const Slab& slab, const torch::Tensor& cost, const Grid& grid) {
  const GridParams params = grid.fit_rows(slab);
  torch::Tensor error = grid.decode(grid.encode(slab.weight, params), params) - slab.weight;
  error.square_().mul_(cost).masked_fill_(slab.kept, 0);
  return error.sum(1, /*keepdim=*/true);
}

}  // namespace

double outlier_threshold(double relative, const torch::Tensor& weight, const torch::Tensor& cost) {
  return relative * (weight.var(0) * cost).mean().item<double>();
}

torch::Tensor leave_one_out_gain(const Slab& slab, const torch::Tensor& cost, const Grid& grid) {
  Slab without = slab;
  if (!slab.kept.defined()) without.kept = torch::zeros_like(slab.weight, torch::kBool);
  const torch::Tensor kept = without.kept, before = error_of(without, cost, grid);
  torch::Tensor gains = torch::empty_like(slab.weight);
  for (std::int64_t i = 0; i < slab.weight.size(1); ++i) {
    without.kept = kept.clone();
    without.kept.slice(1, i, i + 1).fill_(true);
    gains.slice(1, i, i + 1).copy_(before - error_of(without, cost, grid));
  }
  return gains;
}

}  // namespace karat
