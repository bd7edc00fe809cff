#include "tuner/shared/units.h"

namespace karat {
namespace {

torch::Tensor decoded_with(const TunedLayer& layer, const std::vector<GridParams>& params) {
  const std::int64_t in = layer.start.codes.size(1);
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& codes : layer.start.codes.split(layer.grid.group_size(in), 1))
    parts.push_back(layer.grid.decode(codes, params[parts.size()]));
  return torch::cat(parts, 1);
}

}  // namespace

torch::Tensor scales_of(const std::vector<GridParams>& params) {
  std::vector<torch::Tensor> scales;
  for (const GridParams& group : params) scales.push_back(group.at(0));
  return torch::stack(scales, 1);
}

torch::Tensor dense_weights(const TunedLayer& layer) {
  const torch::NoGradGuard no_grad;
  return decoded_with(layer, layer.start.params);
}

torch::Tensor on_units(const TunedLayer& layer, const torch::Tensor& scale) {
  torch::Tensor units;
  {
    const torch::NoGradGuard no_grad;
    units = decoded_with(layer, params_on(layer, torch::ones_like(scale)));
  }
  const std::int64_t in = units.size(1), size = layer.grid.group_size(in);
  const torch::Tensor wide = scale.expand({-1, -1, size}).flatten(1).narrow(1, 0, in);
  return units * wide;
}

std::vector<GridParams> params_on(const TunedLayer& layer, const torch::Tensor& scale) {
  std::vector<GridParams> params = layer.start.params;
  for (std::size_t g = 0; g < params.size(); ++g)
    params[g] = layer.grid.rescale(params[g], scale.select(1, static_cast<std::int64_t>(g)));
  return params;
}

torch::Tensor with_kept(const TunedLayer& layer, const torch::Tensor& dense) {
  const Solution& start = layer.start;
  return start.kept.defined() ? torch::where(start.kept, start.weight, dense) : dense;
}

}  // namespace karat
