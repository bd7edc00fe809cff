// transform scale: columns whose inputs are large are scaled up before rounding and their inputs
// down (AWQ, arXiv 2306.00978): s = mean|x|^α, the α of least output error tr(E H Eᵀ) taken from a
// grid of 20. AWQ folds 1/s into the layer before (fold=1); else it is stored beside the layer,
// 16/out bits a weight, and every linear layer has its own.
#include "karat/axes.h"
#include "recipe/basis.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"

namespace karat {
namespace {

/// Inputs are multiplied by 1/s: what is stored is that, rounded to FP16, and never 0.
torch::Tensor multiplier_of(const torch::Tensor& input_abs, double alpha) {
  torch::Tensor s = input_abs.clamp_min(1e-4 * input_abs.max().clamp_min(1e-30)).pow(alpha);
  s = s / (s.max() * s.min()).sqrt();
  return (1 / s).clamp(1e-4, 6e4).to(torch::kFloat16).to(torch::kFloat32);
}

/// tr(E H Eᵀ), E the error of plain rounding in the basis of `multiplier`. The grid's quick fit
/// will do: twenty bases are tried.
double output_error(const Layer& layer, const Kept& kept, const Grid& grid,
                    const torch::Tensor& multiplier) {
  Layer without = layer;  // moving E back is cheaper than moving H
  if (grid.fit_rows) without.stats.hessian = torch::Tensor();
  const Layer moved = in_basis(without, {multiplier});
  const Slabs slabs(moved, kept, grid);
  const auto& fit = grid.fit_rows ? grid.fit_rows : grid.fit;
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < moved.weight.size(1); begin += slabs.width()) {
    const Slab slab = slabs.cut(moved.weight, begin);
    const GridParams params = fit(slab);
    torch::Tensor error = grid.decode(grid.encode(slab.weight, params), params) - slab.weight;
    if (slab.kept.defined()) error.masked_fill_(slab.kept, 0);
    parts.push_back(error);
  }
  return energy(torch::cat(parts, 1) * multiplier, layer.stats.hessian);
}

/// At most `most` rows, evenly spread: α is one number, and they tell it well enough.
Layer some_rows(const Layer& layer, const torch::Tensor& rows) {
  Layer some = layer;
  some.weight = layer.weight.index_select(0, rows);
  if (some.stats.fisher.defined()) some.stats.fisher = some.stats.fisher.index_select(0, rows);
  return some;
}

Basis fit(const Layer& layer, const Kept& kept, const Grid& grid, std::int64_t steps,
          std::int64_t most) {
  const std::int64_t out = layer.weight.size(0), count = std::min(out, most);
  const torch::Tensor rows = torch::arange(count) * out / count;
  const torch::Tensor index = rows.to(torch::kInt64);
  const Layer some = some_rows(layer, index);
  const Kept some_kept = kept.defined() ? kept.index_select(0, index) : kept;
  Basis best;
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t step = 0; step < steps; ++step) {
    const double alpha = static_cast<double>(step) / static_cast<double>(steps);
    const torch::Tensor multiplier = multiplier_of(layer.stats.input_abs, alpha);
    const double error = output_error(some, some_kept, grid, multiplier);
    if (error >= least) continue;
    least = error;
    best.multiplier = multiplier;
  }
  return best;
}

}  // namespace

Transform scale_transform(Options& options) {
  const std::int64_t steps = options.integer("steps", 20, 1, 1000, "exponents tried, from 0 to 1");
  const std::int64_t rows = options.integer("rows", 256, 16, 1 << 20, "outputs they are tried on");
  Transform transform{.needs = {.hessian = true, .input_abs = true}};
  transform.fold = options.flag("fold", false, "share scales and fold them into the layer before");
  transform.fit = [=](const Layer& layer, const Kept& kept, const Grid& grid) {
    return fit(layer, kept, grid, steps, rows);
  };
  return transform;
}

}  // namespace karat
