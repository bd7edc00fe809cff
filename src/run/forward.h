// The forward pass of some consecutive tokens through all blocks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "run/attention.h"
#include "run/kv_cache.h"
#include "run/layers.h"
#include "run/weights.h"

namespace karat {

/// What the blocks need beside the weights: where the tokens stand, and those before them.
struct Pass {
  const LanguageModel::Impl& model;
  KvCache& cache;
  std::int64_t position, tokens;  // position: of the first token, and its place in the cache
  RopeTable rope;
  /// Tokens of several sequences: together all rows of the pass. `position` is then a place only.
  std::span<const QueryRun> runs = {};
};

/// The position of each row, when the runs are all rows in order.
std::vector<std::int64_t> positions_of(std::span<const QueryRun> runs);

/// Keys and values of `ids` [tokens] enter the cache; their states [tokens, hidden] after the final
/// norm go to `states`.
void forward(Pass pass, std::span<const TokenId> ids, float* states);

}  // namespace karat
