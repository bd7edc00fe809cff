// Cuts the tokens of a step into passes through the model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "run/forward.h"

namespace karat {

/// Consecutive tokens of one sequence, placed in the cache.
struct Placed {
  std::span<const TokenId> ids;
  std::int64_t position = 0;        // of ids[0]
  KeySpan own;                      // the sequence's own tokens, these included
  std::span<const KeySpan> shared;  // those before them
};

class Passes {
 public:
  /// The states of `rows`, ascending, of all tokens in the order of add(), go to `states`. `spare`:
  /// kKeyBlock places for tokens that fill up passes, so that what a sequence gives does not depend
  /// on the others; nothing: passes are not filled up.
  Passes(const LanguageModel::Impl& model, KvCache& cache, std::optional<std::int64_t> spare,
         std::span<const std::int64_t> rows, float* states)
      : model_(model), cache_(cache), spare_(spare), rows_(rows), states_(states) {}

  void add(const Placed& tokens);
  void flush();  // runs what was added and not run yet

 private:
  void append(std::span<const TokenId> ids, QueryRun run);
  void fill_up();
  std::vector<std::int64_t> wanted(std::int64_t tokens);
  void run(std::span<const std::int64_t> rows, const std::vector<std::int64_t>& run);

  const LanguageModel::Impl& model_;
  KvCache& cache_;
  std::optional<std::int64_t> spare_;
  std::span<const std::int64_t> rows_;
  float* states_;
  std::int64_t done_ = 0;     // tokens of passes before this one
  std::size_t used_ = 0;      // of rows
  std::vector<TokenId> ids_;  // of this pass
  std::vector<QueryRun> runs_;
};

}  // namespace karat
