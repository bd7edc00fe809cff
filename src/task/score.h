// Log-likelihoods of sequences: each alone, or many in a tree that runs shared beginnings once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "karat/engine.h"
#include "task/requests.h"

namespace karat {

/// Of the last `scored` tokens of a sequence, given those before them.
struct Score {
  double loglikelihood = 0;  // nats
  bool greedy = true;        // each of them was the most likely one
};

/// One sequence after the other in an engine of its own: the plain way, to test the other against.
std::vector<Score> score_alone(const LanguageModel& model, std::span<const Sequence> sequences);

/// Tokens that continue those of another branch.
struct Branch {
  std::int64_t parent = -1;       // an earlier branch; -1: what all sequences share
  std::vector<TokenId> ids = {};  // at least one
};

/// Where sequences' inputs stand in a tree of branches.
struct SequenceTree {
  std::vector<Branch> branches;
  std::vector<std::int64_t> leaf;  // per sequence: the branch that its last input belongs to
  std::int64_t tokens = 0;         // of all branches
  /// Row, among the tokens of all branches, of the input `back` before the sequence's last one.
  std::int64_t row(std::size_t sequence, std::int64_t back) const;

 private:
  friend SequenceTree plant(std::span<const Sequence> sequences, std::int64_t skip);
  std::vector<std::int64_t> first_row_;  // per branch
  std::vector<std::int64_t> last_;       // per sequence: its last input, counted inside its leaf
};
/// The inputs of `sequences` without their first `skip` tokens, which all share.
SequenceTree plant(std::span<const Sequence> sequences, std::int64_t skip);

/// Tokens with which all sequences begin and that none of them has scored.
std::int64_t shared_beginning(std::span<const Sequence> sequences);

/// Runs packs of sequences. What all packs share is set once and stays in the cache.
class PackScorer {
 public:
  /// Room for `capacity` tokens, the shared ones included.
  PackScorer(const LanguageModel& model, std::int64_t capacity);
  void share(std::span<const TokenId> beginning);
  std::vector<Score> score(std::span<const Sequence> sequences);
  std::int64_t tokens_run() const { return tokens_run_; }

 private:
  struct Target;
  std::vector<Target> targets_of(const SequenceTree& tree, std::span<const Sequence> sequences);
  std::vector<float> run(const SequenceTree& tree, std::span<const std::int64_t> rows);
  void resolve(std::span<const float> states, std::int64_t first_row, std::span<Target> targets);
  Engine engine_;
  SequenceId beginning_ = kNoSequence;
  std::int64_t shared_ = 0, tokens_run_ = 0;
};

}  // namespace karat
