#include "task/metrics.h"

#include <doctest/doctest.h>

#include <cmath>

namespace karat {
namespace {

ItemResult item(std::int64_t gold, std::vector<double> likelihoods,
                std::vector<std::int64_t> lengths = {}) {
  ItemResult result;
  result.gold = gold;
  for (const double value : likelihoods) result.scores.push_back({value, false});
  result.lengths = std::move(lengths);
  return result;
}

TaskDefinition task(TaskKind kind, std::vector<std::string> metrics) {
  TaskDefinition definition;
  definition.kind = kind;
  definition.metrics = std::move(metrics);
  return definition;
}

TEST_CASE("acc takes the likeliest choice, acc_norm the likeliest per code point") {
  const TaskDefinition choices = task(TaskKind::choices, {"acc", "acc_norm"});
  ItemResult one = item(1, {-10, -12, -30}, {5, 20, 60});
  judge(choices, one);
  CHECK(one.metrics.at("acc") == 0);
  CHECK(one.metrics.at("acc_norm") == 0);  // −2, −0.6, −0.5
  one.gold = 2;
  judge(choices, one);
  CHECK(one.metrics.at("acc_norm") == 1);
  ItemResult tie = item(0, {-3, -3}, {2, 2});
  judge(choices, tie);
  CHECK(tie.metrics.at("acc") == 1);  // the first among equals
}

TEST_CASE("a continuation is right when it is the greedy one") {
  const TaskDefinition last_word = task(TaskKind::continuation, {"acc", "perplexity"});
  ItemResult one = item(0, {-2}), two = item(0, {-4});
  one.scores[0].greedy = true;
  judge(last_word, one);
  judge(last_word, two);
  const std::vector<const ItemResult*> items{&one, &two};
  const auto scores = summarize(items);
  REQUIRE(scores.size() == 2);
  CHECK(scores[0].metric == "acc");
  CHECK(scores[0].value == 0.5);
  CHECK(scores[0].standard_error == doctest::Approx(0.5));  // √(0.5 / 2)
  CHECK(scores[1].metric == "perplexity");
  CHECK(scores[1].value == doctest::Approx(std::exp(3.0)));
  CHECK(scores[1].standard_error == doctest::Approx(std::exp(3.0)));  // s/√n = √2/√2
}

// p-values of R's binom.test(b, b + c, 0.5)
TEST_CASE("McNemar's exact test") {
  CHECK(mcnemar(0, 0) == 1);
  CHECK(mcnemar(3, 3) == 1);
  CHECK(mcnemar(1, 9) == doctest::Approx(0.021484375));
  CHECK(mcnemar(9, 1) == doctest::Approx(0.021484375));
  CHECK(mcnemar(10, 20) == doctest::Approx(0.09873715));
  CHECK(mcnemar(0, 2000) == doctest::Approx(0));
}

TEST_CASE("pairs: the error of the difference, not of the two means") {
  std::vector<ItemResult> first(4), second(4);
  const std::vector<double> a{1, 1, 0, 1}, b{0, 1, 0, 1};
  std::vector<const ItemResult*> ours, theirs;
  for (std::size_t i = 0; i < 4; ++i) {
    first[i].metrics["acc"] = a[i];
    second[i].metrics["acc"] = b[i];
    ours.push_back(&first[i]);
    theirs.push_back(&second[i]);
  }
  const auto paired = compare_pairs("t", ours, theirs);
  REQUIRE(paired.size() == 1);
  CHECK(paired[0].difference == 0.25);
  CHECK(paired[0].standard_error == doctest::Approx(0.25));  // differences 1, 0, 0, 0
  REQUIRE(paired[0].discordant);
  CHECK(paired[0].discordant->first_only == 1);
  CHECK(paired[0].discordant->second_only == 0);
  CHECK(paired[0].discordant->p_value == 1);
}

}  // namespace
}  // namespace karat
