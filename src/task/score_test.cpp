#include "task/score.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/threads.h"
#include "run/testing.h"

namespace karat {
namespace {

using testing::error_of;
using testing::TempFolder;

std::vector<TokenId> some_ids(std::int64_t count, Rng& rng) {
  return testing::random_ids(count, 6, rng);  // few: much is shared by chance
}

Sequence joined(std::vector<TokenId> context, const std::vector<TokenId>& continuation) {
  context.insert(context.end(), continuation.begin(), continuation.end());
  return {std::move(context), static_cast<std::int64_t>(continuation.size())};
}

/// Items as they come: choices after one context, one continuation after several contexts, single
/// tokens, equal sequences, and sequences that are the beginning of others.
std::vector<Sequence> mixed(const std::vector<TokenId>& prefix, Rng& rng) {
  std::vector<Sequence> sequences;
  for (int i = 0; i < 12; ++i) {
    std::vector<TokenId> context = prefix;
    const auto own = some_ids(1 + static_cast<std::int64_t>(rng.below(40)), rng);
    context.insert(context.end(), own.begin(), own.end());
    for (int c = 0; c < 4; ++c)
      sequences.push_back(
          joined(context, some_ids(1 + static_cast<std::int64_t>(rng.below(9)), rng)));
    sequences.push_back(joined(context, {3}));
  }
  sequences.push_back(sequences.front());
  sequences.push_back(joined(sequences[1].ids, {1, 2}));
  return sequences;
}

struct Model {
  TempFolder folder = {};
  LanguageModel model =
      (testing::write_tiny_llama(folder.path()), LanguageModel::open(folder.path()));
};

void check_equal(const std::vector<Score>& fast, const std::vector<Score>& plain) {
  REQUIRE(fast.size() == plain.size());
  for (std::size_t i = 0; i < fast.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(fast[i].loglikelihood - plain[i].loglikelihood) < 2e-4);
    CHECK(fast[i].greedy == plain[i].greedy);
  }
}

TEST_CASE("packs score what each sequence scores alone") {
  const Model tiny;
  Rng rng(1);
  const std::vector<Sequence> sequences = mixed({}, rng);
  PackScorer scorer(tiny.model, 2000);
  const auto plain = score_alone(tiny.model, sequences);
  check_equal(scorer.score(sequences), plain);
  check_equal(scorer.score(std::span(sequences).first(7)), {plain.begin(), plain.begin() + 7});
  std::int64_t asked = 0;
  for (const Sequence& sequence : sequences)
    asked += static_cast<std::int64_t>(sequence.inputs().size());
  CHECK(scorer.tokens_run() < asked / 2);
}

TEST_CASE("a shared beginning is run once") {
  const Model tiny;
  Rng rng(2);
  const std::vector<Sequence> sequences = mixed(some_ids(50, rng), rng);
  const std::int64_t shared = shared_beginning(sequences);
  CHECK(shared >= 50);
  PackScorer scorer(tiny.model, 2000);
  scorer.share(std::span(sequences.front().ids).first(static_cast<std::size_t>(shared)));
  const auto plain = score_alone(tiny.model, sequences);
  for (std::size_t i = 0; i < sequences.size(); i += 10) {
    const std::size_t count = std::min<std::size_t>(10, sequences.size() - i);
    const auto begin = plain.begin() + static_cast<std::ptrdiff_t>(i);
    check_equal(scorer.score(std::span(sequences).subspan(i, count)),
                {begin, begin + static_cast<std::ptrdiff_t>(count)});
  }
}

TEST_CASE("what could not be scored takes no room from what follows") {
  const Model tiny;
  Rng rng(3);
  const std::vector<Sequence> sequences = mixed({}, rng);
  const auto few = std::span(sequences).first(5);
  const std::int64_t room = plant(few, 0).tokens;
  PackScorer scorer(tiny.model, room);
  std::vector<Sequence> unknown(few.begin(), few.end());
  for (Sequence& sequence : unknown) sequence.ids.front() = 99;  // not in the vocabulary
  const std::vector<TokenId> beginning(static_cast<std::size_t>(room), 99);
  for (int round = 0; round < 2; ++round) {
    CHECK(error_of([&] { scorer.score(sequences); }).find("no room") != std::string::npos);
    check_equal(scorer.score(few), score_alone(tiny.model, few));
    CHECK(error_of([&] { scorer.share(beginning); }).find("id 99") != std::string::npos);
    CHECK(error_of([&] { scorer.score(unknown); }).find("id 99") != std::string::npos);
    check_equal(scorer.score(few), score_alone(tiny.model, few));
  }
}

TEST_CASE("no token that is asked about, nor the state before it, is shared") {
  const std::vector<Sequence> sequences{joined({1, 2, 3}, {4, 5}), joined({1, 2, 3}, {4, 6})};
  CHECK(shared_beginning(sequences) == 2);
  CHECK(shared_beginning(std::vector{joined({1}, {2}), joined({1}, {3})}) == 0);
}

TEST_CASE("a tree holds each token of shared beginnings once") {
  const std::vector<Sequence> sequences{joined({1, 2}, {3, 4}), joined({1, 2}, {3, 5}),
                                        joined({1, 2}, {6}), joined({9}, {1, 1})};
  const SequenceTree tree = plant(sequences, 0);  // inputs 123, 123, 12, 91
  CHECK(tree.tokens == 5);
  CHECK(tree.branches.size() == 3);
  CHECK(tree.row(0, 0) == tree.row(1, 0));
  CHECK(tree.row(0, 1) == tree.row(2, 0));
  CHECK(tree.row(3, 1) == 3);
}

TEST_CASE("scores do not depend on the threads") {
  const Model tiny;
  Rng rng(4);
  const std::vector<Sequence> sequences = mixed({}, rng);
  std::vector<std::vector<Score>> all;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    all.push_back(PackScorer(tiny.model, 2000).score(sequences));
  }
  for (std::size_t i = 0; i < sequences.size(); ++i)
    CHECK(all[0][i].loglikelihood == all[1][i].loglikelihood);
}

}  // namespace
}  // namespace karat
