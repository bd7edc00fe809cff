// The arithmetic of the uniform grid, open to its tests.
#pragma once

#include "karat/recipe.h"

namespace karat {

/// Per row of a slab [rows, n]: the lowest value and the real-valued step, each [rows, 1].
struct Range {
  torch::Tensor low, scale;
};
/// Asymmetric min-max over `bits`; kept entries do not count. A range too narrow for an FP16 zero
/// (a constant row, say) is stretched to reach 0; a row without entries gets scale 0.
Range min_max(const torch::Tensor& weight, const Kept& kept, int bits);
/// −low / scale, and 0 where the scale is 0.
torch::Tensor real_zero(const torch::Tensor& low, const torch::Tensor& scale);

torch::Tensor uniform_encode(const torch::Tensor& weight, const torch::Tensor& scale,
                             const torch::Tensor& zero, int bits);  // -> U8
torch::Tensor uniform_decode(const torch::Tensor& codes, const torch::Tensor& scale,
                             const torch::Tensor& zero);

}  // namespace karat
