// A layer as codes that stand for values of scale 1, for tuners that leave codes as they are.
#pragma once

#include "karat/axes.h"

namespace karat {

/// The scale of every group, [out, groups, 1].
torch::Tensor scales_of(const std::vector<GridParams>& params);
inline torch::Tensor scales_of(const TunedLayer& layer) {
  return scales_of(layer.start.params);
}

/// What the codes decode to, [out, in], kept weights apart.
torch::Tensor dense_weights(const TunedLayer& layer);
/// The same with these scales [out, groups, 1], as they are; differentiable in them.
torch::Tensor on_units(const TunedLayer& layer, const torch::Tensor& scale);
/// The parameters with these scales, rounded as they are stored.
std::vector<GridParams> params_on(const TunedLayer& layer, const torch::Tensor& scale);

/// `dense` with the kept weights in their places.
torch::Tensor with_kept(const TunedLayer& layer, const torch::Tensor& dense);

}  // namespace karat
