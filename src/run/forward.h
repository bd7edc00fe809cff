// The forward pass of some tokens through all blocks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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
  std::int64_t tokens;
  RopeTable rope;
  /// Tokens of some sequences: together all rows of the pass, whose keys and values go to the
  /// places that the runs' own keys have.
  std::span<const QueryRun> runs;
  /// The rows whose states are wanted, ascending; nullptr: all. Of the others the last block makes
  /// keys and values alone.
  const std::vector<std::int64_t>* wanted = nullptr;
  bool independent = false;  // of AttentionShape
};

/// Throws Error, in the name of `operation`, unless all ids are in the vocabulary.
void check_ids(const std::string& operation, std::span<const TokenId> ids,
               const Architecture& arch);

/// The position of each row, when the runs are all rows in order.
std::vector<std::int64_t> positions_of(std::span<const QueryRun> runs);

/// The place of each row in the cache, likewise: inside its run's last span.
std::vector<std::int64_t> places_of(std::span<const QueryRun> runs);

/// The runs of some rows alone, ascending, which become rows 0, 1, ….
std::vector<QueryRun> runs_of(std::span<const QueryRun> runs, std::span<const std::int64_t> rows);

/// Keys and values of `ids` [tokens] enter the cache; their states [tokens or wanted, hidden] after
/// the final norm go to `states`.
void forward(Pass pass, std::span<const TokenId> ids, float* states);

}  // namespace karat
