// The option `cost` of grids whose fit weighs errors.
#pragma once

#include "karat/axes.h"

namespace karat {

/// What a squared error costs in each weight of a layer, and the statistics that say so.
struct Cost {
  Needs needs = {};
  std::function<torch::Tensor(const Layer& layer)> of = {};  // [out, in] or [1, in]; empty: 1
};
/// equal · activation: mean X² of the weight's input · fisher: the diagonal Fisher information ·
/// guided: mean X² too, tokens weighted by the squared gradients of the layer's outputs.
Cost choose_cost(Options& options, const std::string& fallback);

/// The slab's costs [rows, n], 0 for kept entries.
torch::Tensor costs_of(const Slab& slab);

}  // namespace karat
