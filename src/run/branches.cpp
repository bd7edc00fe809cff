#include "run/branches.h"

#include <algorithm>
#include <string>

#include "karat/error.h"
#include "run/forward.h"

namespace karat {
namespace {

constexpr std::int64_t kBranchBatch = 256;  // tokens per pass, as Session's

}  // namespace

struct BranchSession::State {
  /// A branch that is in the cache.
  struct Placed {
    std::int64_t parent = -1;
    KeySpan own;
  };

  State(LanguageModel opened, std::int64_t tokens)
      : model(std::move(opened)),
        capacity(tokens),
        cache(model.architecture(), tokens, CacheType::f32) {}

  std::int64_t tokens() const { return placed.empty() ? 0 : placed.back().own.end; }

  void place(const Branch& branch) {
    const auto count = static_cast<std::int64_t>(branch.ids.size());
    const auto known = static_cast<std::int64_t>(placed.size());
    const Architecture& arch = model.architecture();
    if (count < 1 || branch.parent < -1 || branch.parent >= known)
      fail("branch", "no token, or a parent that does not come before", "tokens after a parent");
    if (tokens() + count > capacity)
      fail("branch", std::to_string(tokens() + count) + " tokens",
           "at most " + std::to_string(capacity));
    KeySpan own{tokens(), tokens() + count, 0};
    if (branch.parent >= 0) {
      const KeySpan& before = placed[static_cast<std::size_t>(branch.parent)].own;
      own.position = before.position + before.end - before.begin;
    }
    if (own.position + count > arch.max_positions)
      fail("branch", std::to_string(own.position + count) + " tokens in a sequence",
           "at most the model's context of " + std::to_string(arch.max_positions));
    check_ids("branch", branch.ids, arch);
    placed.push_back({branch.parent, own});
  }

  /// The part of a branch that lies in places begin … end − 1, as rows of a pass that starts there.
  QueryRun run_of(const Placed& branch, std::int64_t begin, std::int64_t end) const {
    const std::int64_t from = std::max(branch.own.begin, begin);
    const std::int64_t to = std::min(branch.own.end, end);
    QueryRun run{from - begin, to - from, branch.own.position + from - branch.own.begin, {}};
    // Only what is computed already, or in this pass: later tokens are masked by their position,
    // but must be finite.
    run.keys.push_back({branch.own.begin, to, branch.own.position});
    for (std::int64_t parent = branch.parent; parent >= 0;) {
      const Placed& above = placed[static_cast<std::size_t>(parent)];
      run.keys.push_back(above.own);
      parent = above.parent;
    }
    std::reverse(run.keys.begin(), run.keys.end());
    return run;
  }

  std::vector<QueryRun> runs(std::size_t first, std::int64_t begin, std::int64_t end) const {
    std::vector<QueryRun> found;
    for (std::size_t i = first; i < placed.size(); ++i)
      if (placed[i].own.begin < end && placed[i].own.end > begin)
        found.push_back(run_of(placed[i], begin, end));
    return found;
  }

  LanguageModel model;
  std::int64_t capacity;
  KvCache cache;
  std::vector<Placed> placed;
};

BranchSession::BranchSession(LanguageModel model, std::int64_t capacity)
    : state_(std::make_unique<State>(std::move(model), capacity)) {}
BranchSession::~BranchSession() = default;
BranchSession::BranchSession(BranchSession&&) noexcept = default;
BranchSession& BranchSession::operator=(BranchSession&&) noexcept = default;

std::vector<float> BranchSession::forward(std::span<const Branch> branches) {
  return run(branches, nullptr);
}
std::vector<float> BranchSession::forward(std::span<const Branch> branches,
                                          std::span<const std::int64_t> rows) {
  return run(branches, &rows);
}

std::vector<float> BranchSession::run(std::span<const Branch> branches,
                                      const std::span<const std::int64_t>* rows) {
  State& state = *state_;
  const LanguageModel::Impl& model = state.model.impl();
  const std::size_t known = state.placed.size();
  const std::int64_t start = state.tokens();
  std::vector<TokenId> ids;
  try {
    for (const Branch& branch : branches) {
      state.place(branch);
      ids.insert(ids.end(), branch.ids.begin(), branch.ids.end());
    }
  } catch (...) {
    state.placed.resize(known);
    throw;
  }
  std::vector<float> states((rows ? rows->size() : ids.size()) *
                            static_cast<std::size_t>(model.arch.hidden));
  float* next = states.data();
  std::size_t used = 0;  // of rows
  for (std::int64_t at = start; at < state.tokens(); at += kBranchBatch) {
    const std::int64_t tokens = std::min(kBranchBatch, state.tokens() - at), done = at - start;
    const std::vector<QueryRun> runs = state.runs(known, at, at + tokens);
    std::vector<std::int64_t> wanted;
    for (; rows && used < rows->size() && (*rows)[used] < done + tokens; ++used)
      wanted.push_back((*rows)[used] - done);
    karat::forward(
        {model, state.cache, at, tokens, RopeTable(model.arch.ropes, positions_of(runs)), runs,
         rows ? &wanted : nullptr},
        std::span(ids).subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(tokens)),
        next);
    next += (rows ? static_cast<std::int64_t>(wanted.size()) : tokens) * model.arch.hidden;
  }
  return states;
}

void BranchSession::keep(std::int64_t branches) {
  if (branches < 0 || branches > this->branches())
    fail("branch", "a wish to keep " + std::to_string(branches),
         "0 to " + std::to_string(this->branches()));
  state_->placed.resize(static_cast<std::size_t>(branches));
}

std::int64_t BranchSession::branches() const {
  return static_cast<std::int64_t>(state_->placed.size());
}
std::int64_t BranchSession::capacity() const {
  return state_->capacity;
}

}  // namespace karat
