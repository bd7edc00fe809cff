// The forward pass of some consecutive tokens through all blocks.
#pragma once

#include <cstdint>
#include <span>

#include "run/kv_cache.h"
#include "run/layers.h"
#include "run/weights.h"

namespace karat {

/// What the blocks need beside the weights: where the tokens stand, and those before them.
struct Pass {
  const LanguageModel::Impl& model;
  KvCache& cache;
  std::int64_t position, tokens;
  RopeTable rope;
};

/// Keys and values of `ids` [tokens] enter the cache; their states [tokens, hidden] after the final
/// norm go to `states`.
void forward(Pass pass, std::span<const TokenId> ids, float* states);

}  // namespace karat
