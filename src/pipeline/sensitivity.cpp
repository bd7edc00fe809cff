#include "pipeline/sensitivity.h"

#include <algorithm>

#include "pipeline/rounding.h"

namespace karat {
namespace {

constexpr std::int64_t kLayerRows = 128, kEndRows = 2048;  // that are rounded

/// Some rows, evenly spread.
Layer sample(const Layer& layer, std::int64_t most) {
  const std::int64_t rows = layer.weight.size(0), count = std::min(rows, most);
  const torch::Tensor chosen = torch::arange(count) * rows / count;
  const torch::Tensor indices = chosen.floor().to(torch::kInt64);
  Layer some = layer;
  some.weight = layer.weight.index_select(0, indices).to(torch::kFloat32);
  if (layer.stats.fisher.defined()) some.stats.fisher = layer.stats.fisher.index_select(0, indices);
  return some;
}

std::map<int, double> errors_of(const Layer& rows, const std::map<int, Grid>& grids) {
  std::map<int, double> errors;
  for (const auto& [bits, grid] : grids) errors[bits] = relative_rounding_error(rows, grid);
  return errors;
}

/// Mean square of every row, [rows] F64; up-cast piece by piece.
torch::Tensor row_squares(const torch::Tensor& weight) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& piece : weight.split(kEndRows, 0))
    parts.push_back(piece.to(torch::kFloat32).square().mean(1, /*keepdim=*/false, torch::kFloat64));
  return torch::cat(parts);
}

}  // namespace

SensitivityMeter::SensitivityMeter(const Assembled& recipe, std::int64_t length)
    : recipe_(recipe), half_tokens_(0.5 * static_cast<double>(length - 1)) {
  if (!recipe.transform.rotates) return;
  for (const auto& [bits, grid] : recipe.widths.grids) rotated_[bits] = normal_rounding_error(grid);
}

void SensitivityMeter::see(const Layer& layer) {
  const torch::Tensor fisher = layer.stats.fisher.sum(1, /*keepdim=*/false, torch::kFloat64);
  const torch::Tensor squares = row_squares(layer.weight);
  Sensitivity found{.weights = static_cast<double>(layer.weight.numel()),
                    .cost = half_tokens_ * (fisher * squares).sum().item<double>(),
                    .errors = rotated_};
  if (!recipe_.transform.rotates)
    found.errors = errors_of(sample(layer, kLayerRows), recipe_.widths.grids);
  const std::scoped_lock lock(mutex_);
  found_[layer.name] = std::move(found);
}

void SensitivityMeter::see_end(const std::string& name, const torch::Tensor& weight,
                               const torch::Tensor& fisher) {
  found_[name] = {
      .weights = static_cast<double>(weight.numel()),
      .cost =
          half_tokens_ * (fisher.to(torch::kFloat64) * row_squares(weight)).sum().item<double>(),
      .errors = errors_of(sample({.name = name, .weight = weight}, kEndRows), recipe_.ends->grids)};
}

}  // namespace karat
