#include "grid/shared/row_scale.h"

namespace karat {
namespace {

constexpr double kSmallestHalf = 0x1p-24;

}  // namespace

GridParams fit_row_scale(const Slab& slab, double deviation) {
  torch::Tensor weight = slab.weight;
  torch::Tensor count = torch::full({weight.size(0), 1}, weight.size(1), weight.options());
  if (slab.kept.defined()) {
    weight = weight.masked_fill(slab.kept, 0);
    count = (~slab.kept).sum(1, /*keepdim=*/true);
  }
  const torch::Tensor square = weight.square().sum(1, /*keepdim=*/true) / count.clamp_min(1);
  const torch::Tensor scale = square.sqrt() / deviation;
  return {torch::where(scale > 0, scale.clamp_min(kSmallestHalf), scale)
              .to(torch::kFloat16)
              .to(torch::kFloat32)};
}

}  // namespace karat
