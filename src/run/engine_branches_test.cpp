// Sequences that continue others: a tree in one step.
#include <doctest/doctest.h>

#include <cmath>

#include "run/testing.h"

namespace karat {
namespace {

using testing::TempFolder;

std::vector<TokenId> random_ids(std::int64_t count, Rng& rng) {
  return testing::random_ids(count, 40, rng);
}

struct Branch {
  std::int64_t parent = -1;  // an earlier branch
  std::vector<TokenId> ids = {};
};

/// A tree in an engine.
class Tree {
 public:
  Tree(const LanguageModel& model, std::int64_t room) : engine_(model, {.room = room}) {}
  std::vector<float> step(const std::vector<Branch>& branches) {
    return engine_.step(requests(branches));
  }
  std::vector<float> step(const std::vector<Branch>& branches, std::span<const std::int64_t> rows) {
    return engine_.step(requests(branches), rows);
  }
  void keep(std::size_t branches) {
    for (; sequences_.size() > branches; sequences_.pop_back()) engine_.end(sequences_.back());
  }
  std::size_t branches() const { return sequences_.size(); }

 private:
  std::vector<Request> requests(const std::vector<Branch>& branches) {
    std::vector<Request> all;
    for (const Branch& branch : branches) {
      const SequenceId parent =
          branch.parent < 0 ? kNoSequence : sequences_.at(static_cast<std::size_t>(branch.parent));
      const auto tokens = static_cast<std::int64_t>(branch.ids.size());
      sequences_.push_back(engine_.begin(tokens, parent));
      all.push_back({sequences_.back(), branch.ids});
    }
    return all;
  }
  Engine engine_;
  std::vector<SequenceId> sequences_;
};

/// Tokens from the sequence's beginning to the end of branch `i`.
std::vector<TokenId> whole(const std::vector<Branch>& tree, std::int64_t i) {
  std::vector<TokenId> ids;
  if (i < 0) return ids;
  const Branch& branch = tree[static_cast<std::size_t>(i)];
  ids = whole(tree, branch.parent);
  ids.insert(ids.end(), branch.ids.begin(), branch.ids.end());
  return ids;
}

/// Largest difference between the states of each branch's tokens and those that the
/// sequence has alone.
float worst_difference(const LanguageModel& model, const std::vector<Branch>& tree,
                       std::span<const float> states) {
  float worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    testing::Alone alone(model);
    const std::vector<float> all = alone.step(whole(tree, static_cast<std::int64_t>(i)));
    const std::size_t own =
        tree[i].ids.size() * static_cast<std::size_t>(model.architecture().hidden);
    for (std::size_t k = 0; k < own; ++k)
      worst = std::max(worst, std::abs(states[at + k] - all[all.size() - own + k]));
    at += own;
  }
  return worst;
}

std::vector<Branch> random_tree(Rng& rng) {
  return {{-1, random_ids(70, rng)}, {0, random_ids(3, rng)},   {0, random_ids(90, rng)},
          {2, random_ids(1, rng)},   {2, random_ids(20, rng)},  {-1, random_ids(100, rng)},
          {5, random_ids(2, rng)},   {4, random_ids(110, rng)}, {-1, random_ids(1, rng)}};
}

TEST_CASE("branches give what each sequence gives alone") {
  for (const nlohmann::json& config :
       {testing::tiny_config(), testing::windowed_config(), testing::tiny_gpt2_config()}) {
    CAPTURE(config["model_type"]);
    TempFolder folder;
    testing::write_tiny_llama(folder.path(), config);
    const LanguageModel model = LanguageModel::open(folder.path());
    Rng rng(5);
    const std::vector<Branch> tree = random_tree(rng);  // 397 tokens: two passes
    Tree session(model, 400);
    CHECK(worst_difference(model, tree, session.step(tree)) < 1e-4f);
  }
}

TEST_CASE("branches appended to kept ones continue them") {
  TempFolder folder;
  testing::write_tiny_llama(folder.path());
  const LanguageModel model = LanguageModel::open(folder.path());
  Rng rng(6);
  std::vector<Branch> tree = random_tree(rng);
  Tree session(model, 500);
  session.step(tree);
  tree.resize(3);
  session.keep(3);
  const std::vector<Branch> more{{2, random_ids(30, rng)}, {1, random_ids(4, rng)}};
  const std::vector<float> states = session.step(more);
  tree.insert(tree.end(), more.begin(), more.end());
  float worst = 0;
  for (std::size_t i = 3; i < 5; ++i) {
    testing::Alone alone(model);
    const std::vector<float> expected = alone.step(whole(tree, static_cast<std::int64_t>(i)));
    const std::size_t at = i == 3 ? 0 : 30 * 32;
    for (std::size_t k = 0; k < tree[i].ids.size() * 32; ++k)
      worst = std::max(worst, std::abs(states[at + k] -
                                       expected[expected.size() - tree[i].ids.size() * 32 + k]));
  }
  CHECK(worst < 1e-4f);
}

TEST_CASE("the states of some rows are those rows of all states") {
  for (const nlohmann::json& config : {testing::tiny_config(), testing::windowed_config()}) {
    TempFolder folder;
    testing::write_tiny_llama(folder.path(), config);
    const LanguageModel model = LanguageModel::open(folder.path());
    Rng rng(7);
    const std::vector<Branch> tree = random_tree(rng);  // 397 tokens: two passes
    Tree session(model, 1200);
    const std::vector<float> all = session.step(tree);
    const std::vector<std::vector<std::int64_t>> choices{
        {0, 1, 2, 69, 70, 72, 73, 255, 256, 257, 396}, {300}, {254, 255}, {}};
    for (const auto& rows : choices) {
      session.keep(0);
      const std::vector<float> some = session.step(tree, rows);
      REQUIRE(some.size() == rows.size() * 32);
      float worst = 0;
      for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::size_t k = 0; k < 32; ++k)
          worst = std::max(
              worst, std::abs(some[r * 32 + k] - all[static_cast<std::size_t>(rows[r]) * 32 + k]));
      CHECK(worst < 1e-5f);
      const Branch more{4, {1, 2, 3}};  // what follows sees keys and values of every row
      session.keep(9);
      const std::vector<float> after = session.step(std::vector{more});
      std::vector<Branch> longer = tree;
      longer.push_back(more);
      session.keep(0);
      const std::vector<float> expected = session.step(longer);
      for (std::size_t k = 0; k < after.size(); ++k)
        worst = std::max(worst, std::abs(after[k] - expected[expected.size() - after.size() + k]));
      CHECK(worst < 1e-5f);
    }
  }
}

}  // namespace
}  // namespace karat
