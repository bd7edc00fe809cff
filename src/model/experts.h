// A mixture of experts: each token goes through those that its router scores highest.
#pragma once

#include <functional>

#include "karat/graph.h"

namespace karat {

/// The product of a linear layer and x [tokens, in], as the caller of block_forward() wants it.
using ApplyLinear = std::function<torch::Tensor(const Linear& linear, const torch::Tensor& x)>;

/// x [tokens, hidden] -> [tokens, hidden]: what the chosen experts of `block` give, times their
/// shares. An expert is asked for its tokens alone, and not at all where it has none.
torch::Tensor experts_forward(const Architecture& arch, const Block& block, const Weights& weights,
                              const torch::Tensor& x, const ApplyLinear& apply);

/// ∂y/∂leaves, `upstream` being the gradient of y, or y a scalar; zeros of leaves that nothing
/// read: those of experts without a token.
std::vector<torch::Tensor> gradients_of(const torch::Tensor& y,
                                        const std::vector<torch::Tensor>& leaves,
                                        const torch::Tensor& upstream = {});

}  // namespace karat
