// A transform's multipliers folded into what makes a layer's input, as AWQ does it (arXiv
// 2306.00978): nothing is stored for them and nothing is computed at run time.
#pragma once

#include "karat/recipe.h"
#include "pipeline/block_store.h"

namespace karat {

/// A linear layer of the block at hand, on its way to the solver.
struct BlockLayer {
  Layer layer = {};
  Kept kept = {};
  bool folded = false;  // `layer` is in the basis of the transform already
};
using BlockLayers = std::map<std::string, BlockLayer>;  // by name

/// Fits one basis for the layers that read the same input and multiplies what makes it: the norm
/// before q, k, v and before gate and up (all of them where they share one); the rows of `up`
/// before down, when it is gated; the rows of v before o, unless heads share them. Changes
/// `layers`, and the block's norms and biases, which are returned. A multiplier commutes with no
/// other activation, and the input of a block has no norm of its own to be folded into, so such
/// layers stay as they are.
ChangedTensors fold(const Architecture& arch, BlockVisit& block, const Assembled& recipe,
                    BlockLayers& layers);

}  // namespace karat
