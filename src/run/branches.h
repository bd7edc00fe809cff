// Many sequences that share beginnings, in one pass: a tree of branches, whose tokens stand one
// after the other in the cache and see only their own branch and its ancestors.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "karat/language_model.h"

namespace karat {

/// Tokens that continue those of another branch.
struct Branch {
  std::int64_t parent = -1;  // an earlier branch; -1: these tokens begin a sequence
  std::vector<TokenId> ids;  // at least one
};

class BranchSession {
 public:
  /// Room for `capacity` tokens of all branches together.
  BranchSession(LanguageModel model, std::int64_t capacity);
  ~BranchSession();
  BranchSession(BranchSession&&) noexcept;
  BranchSession& operator=(BranchSession&&) noexcept;

  /// Appends branches, whose parents count from the first one ever appended, and returns the states
  /// [tokens, hidden] of their tokens after the final norm. Throws Error when the capacity, or a
  /// sequence longer than the model's context, does not allow it.
  std::vector<float> forward(std::span<const Branch> branches);
  /// The same for some of these tokens alone: `rows`, ascending, -> [rows, hidden]. Takes less
  /// time.
  std::vector<float> forward(std::span<const Branch> branches, std::span<const std::int64_t> rows);
  void keep(std::int64_t branches);  // forgets all but the first ones
  std::int64_t branches() const;
  std::int64_t capacity() const;

 private:
  std::vector<float> run(std::span<const Branch> branches,
                         const std::span<const std::int64_t>* rows);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace karat
