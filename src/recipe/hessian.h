// What solvers and metrics share about H = 2 X Xᵀ / n.
#pragma once

#include <string>

#include "karat/torch.h"

namespace karat {

/// Upper triangular U [n, n] with (H + damp·mean(diag H)·I)⁻¹ = UᵀU. Inputs that are never active
/// (Hjj = 0) count as if Hjj were 1. When H is too ill-conditioned the damping grows tenfold, up to
/// 1; then throws Error naming the layer. Throws also when H is not finite.
torch::Tensor inverse_factor(const torch::Tensor& hessian, double damp, const std::string& layer);

}  // namespace karat
