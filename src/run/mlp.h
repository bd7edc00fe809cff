// The MLP of a block, with or without experts.
#pragma once

#include <cstdint>
#include <vector>

#include "karat/architecture.h"
#include "run/weights.h"

namespace karat {

struct MlpShape {
  std::int64_t tokens = 0, hidden = 0;
  Activation activation = Activation::silu;
  /// Whether a token gives the same bits whichever tokens are beside it, as long as these are
  /// kManyTokens or more in all.
  bool independent = false;
};

/// x [tokens, hidden] -> [tokens, hidden]. Of the experts only those that a token chooses are read,
/// each once for all its tokens.
std::vector<float> feed_forward(const MlpShape& shape, const Block& block,
                                const BlockWeights& weights, const float* x);

}  // namespace karat
