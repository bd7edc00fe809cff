#include "grid/shared/row_scale.h"

#include "grid/shared/arrays.h"

namespace karat {
namespace {

constexpr double kSmallestHalf = 0x1p-24, kLargestHalf = 65504;

/// To FP16; what is above 0 stays above it.
torch::Tensor halves(const torch::Tensor& scale) {
  return torch::where(scale > 0, scale.clamp(kSmallestHalf, kLargestHalf), scale)
      .to(torch::kFloat16)
      .to(torch::kFloat32);
}

}  // namespace

GridParams rescaled(const GridParams& params, const torch::Tensor& scale) {
  GridParams result = params;
  result.at(0) = halves(scale);
  return result;
}

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

Stored store_row_scaled(const std::string& name, const PackedLayout& layout,
                        const Solution& solution, torch::Tensor decoded) {
  PackedMatrix matrix;
  matrix.layout = layout;
  matrix.out = solution.codes.size(0);
  matrix.in = solution.codes.size(1);
  matrix.codes = to_vector<std::uint8_t>(solution.codes);
  matrix.scales = half_bits(solution.params[0][0]);  // [out, 1]
  finish(solution, matrix, decoded);
  return {matrix.layout, pack(name, matrix), decoded};
}

}  // namespace karat
