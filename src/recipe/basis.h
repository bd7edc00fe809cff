// A layer and its statistics in another basis.
#pragma once

#include "karat/axes.h"

namespace karat {

/// W/m and what was measured of W, as it would have been measured of W/m with inputs m∘x. With a
/// rotation R_out (W/m) R_inᵀ; then statistics of single weights and inputs, which do not rotate
/// with it, are undefined.
Layer in_basis(const Layer& layer, const Basis& basis);
/// The gradient in W as one in what stands for W there.
torch::Tensor gradient_in_basis(const torch::Tensor& gradient, const Basis& basis);

/// R_outᵀ x R_in, with the bits that unpack() computes.
torch::Tensor turned_back(const torch::Tensor& x, std::uint32_t seed);

}  // namespace karat
