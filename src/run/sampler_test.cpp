#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>

#include "karat/error.h"
#include "karat/sampling.h"

namespace karat {
namespace {

// Probabilities 0.5, 0.3, 0.15, 0.05 of tokens 2, 0, 3, 1.
const std::vector<float> kLogits{std::log(0.3f), std::log(0.05f), std::log(0.5f), std::log(0.15f)};

std::map<TokenId, double> shares(const Sampling& sampling, int draws = 20000) {
  Sampler sampler(sampling);
  std::map<TokenId, double> result;
  for (int i = 0; i < draws; ++i) result[sampler.next(kLogits)] += 1.0 / draws;
  return result;
}

TEST_CASE("temperature 0 takes the most likely token, the first among equals") {
  Sampler sampler({.temperature = 0});
  CHECK(sampler.next(kLogits) == 2);
  CHECK(sampler.next(std::vector<float>{1, 3, 3}) == 1);
}

TEST_CASE("draws follow the probabilities") {
  const auto plain = shares({.temperature = 1, .top_p = 1});
  CHECK(plain.at(2) == doctest::Approx(0.5).epsilon(0.05));
  CHECK(plain.at(1) == doctest::Approx(0.05).epsilon(0.15));
  // Temperature 1/2 squares the probabilities: 0.25, 0.09, 0.0225, 0.0025 of 0.365.
  const auto cold = shares({.temperature = 0.5, .top_p = 1});
  CHECK(cold.at(2) == doctest::Approx(0.25 / 0.365).epsilon(0.05));
  CHECK(cold.at(0) == doctest::Approx(0.09 / 0.365).epsilon(0.05));
}

TEST_CASE("top-p keeps the smallest set that holds p, top-k the k most likely") {
  const auto nucleus = shares({.temperature = 1, .top_p = 0.79});
  CHECK(nucleus.size() == 2);
  CHECK(nucleus.at(2) == doctest::Approx(0.5 / 0.8).epsilon(0.05));
  CHECK(shares({.temperature = 1, .top_p = 0.81}).size() == 3);
  CHECK(shares({.temperature = 1, .top_p = 0.01}).size() == 1);
  const auto two = shares({.temperature = 1, .top_p = 1, .top_k = 2});
  CHECK(two.size() == 2);
  CHECK(two.at(0) == doctest::Approx(0.3 / 0.8).epsilon(0.05));
  // p counts within the k: 0.5/0.8 < 0.7, so both stay.
  CHECK(shares({.temperature = 1, .top_p = 0.7, .top_k = 2}).size() == 2);
  CHECK(shares({.temperature = 1, .top_p = 0.6, .top_k = 2}).size() == 1);
}

TEST_CASE("the same seed draws the same tokens") {
  const auto draw = [](std::uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<TokenId> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.next(kLogits));
    return ids;
  };
  CHECK(draw(1) == draw(1));
  CHECK(draw(1) != draw(2));
}

TEST_CASE("every finite temperature and top-p draws a token that may come") {
  constexpr double kTiny = std::numeric_limits<double>::denorm_min();
  constexpr double kHuge = std::numeric_limits<double>::max();
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> rows{
      kLogits, {0, 0, 0}, {kNever, 3, kNever, 3}, {-3e38f, 3e38f}, {1e-45f, 0, -1e-45f}, {7}};
  for (const auto& logits : rows)
    for (const double temperature : {kTiny, 1e-300, 1e-50, 1e-38, 1e-30, 1.0, 1e30, 1e38, kHuge})
      for (const double top_p : {kTiny, 1e-300, 1e-30, 0.5, 1 - 1e-16, 1.0})
        for (const std::int64_t top_k : {std::int64_t{0}, std::int64_t{1}, INT64_MAX}) {
          Sampler sampler({.temperature = temperature, .top_p = top_p, .top_k = top_k});
          for (int draw = 0; draw < 20; ++draw) {
            const auto id = static_cast<std::size_t>(sampler.next(logits));
            REQUIRE(id < logits.size());
            CHECK(logits[id] > kNever);
          }
        }
  // The limits of temperature: the most likely token, and all alike.
  CHECK(shares({.temperature = kTiny, .top_p = 1}, 100).size() == 1);
  for (const auto& [id, share] : shares({.temperature = kHuge, .top_p = 1}))
    CHECK(share == doctest::Approx(0.25).epsilon(0.05));
}

TEST_CASE("logits that are no numbers are refused, whatever the temperature") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const double temperature : {0.0, 1.0})
    for (const std::vector<float>& logits :
         {std::vector<float>{NAN, 1}, {1, NAN}, {1, kInfinity}, {-kInfinity, -kInfinity}})
      CHECK_THROWS_WITH_AS(Sampler({.temperature = temperature}).next(logits),
                           doctest::Contains("NaN or infinite"), Error);
}

TEST_CASE("impossible sampling is refused") {
  CHECK_THROWS_WITH_AS(Sampler({.temperature = -1}), doctest::Contains("temperature"), Error);
  CHECK_THROWS_WITH_AS(Sampler({.temperature = NAN}), doctest::Contains("temperature"), Error);
  CHECK_THROWS_WITH_AS(Sampler({.top_p = 0}), doctest::Contains("top-p"), Error);
  CHECK_THROWS_WITH_AS(Sampler({.top_p = 1.5}), doctest::Contains("top-p"), Error);
  CHECK_THROWS_WITH_AS(Sampler({.top_k = -1}), doctest::Contains("top-k"), Error);
  CHECK_THROWS_AS(Sampler({}).next({}), Error);
}

TEST_CASE("min-p keeps what is likely enough beside the likeliest") {
  const auto some = shares({.temperature = 1, .top_p = 1, .min_p = 0.5});  // 0.5 and 0.3
  CHECK(some.size() == 2);
  CHECK(some.at(0) == doctest::Approx(0.375).epsilon(0.05));
  CHECK(shares({.temperature = 1, .top_p = 1, .min_p = 1}).size() == 1);
  CHECK_THROWS_AS(Sampler({.min_p = 1.1}), Error);
}

TEST_CASE("penalties and bias change logits as the naive twin says") {
  const Sampling sampling{.temperature = 0,
                          .presence_penalty = 0.4,
                          .frequency_penalty = 0.3,
                          .bias = {{1, 2.1}, {3, -1}}};
  Sampler sampler(sampling);
  std::map<TokenId, int> count;
  for (int step = 0; step < 20; ++step) {
    TokenId best = 0;
    double most = -1e9;
    for (TokenId id = 0; id < 4; ++id) {
      double logit = kLogits[static_cast<std::size_t>(id)];
      if (sampling.bias.contains(id)) logit += sampling.bias.at(id);
      if (count[id] > 0) logit -= 0.4 + 0.3 * count[id];
      if (logit > most) most = logit, best = id;
    }
    REQUIRE(sampler.next(kLogits) == best);
    ++count[best];
  }
  CHECK(count.at(2) > 0);
  CHECK(count.at(1) > 0);
  CHECK_THROWS_AS(Sampler({.temperature = 0, .bias = {{4, 1}}}).next(kLogits), Error);
  CHECK_THROWS_AS(Sampler({.frequency_penalty = std::nan("")}), Error);
}

TEST_CASE("a token's score is the logarithm of its probability, beside the likeliest ones") {
  const TokenScore score = score_token(kLogits, 3, 2);
  CHECK(score.logprob == doctest::Approx(std::log(0.15)));
  REQUIRE(score.top.size() == 2);
  CHECK(score.top[0].first == 2);
  CHECK(score.top[1].first == 0);
  CHECK(score.top[1].second == doctest::Approx(std::log(0.3)));
  CHECK(score_token(kLogits, 0, 9).top.size() == 4);
  CHECK_THROWS_AS(score_token(kLogits, 4, 0), Error);
}

}  // namespace
}  // namespace karat
