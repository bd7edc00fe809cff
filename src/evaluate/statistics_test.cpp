#include "evaluate/statistics.h"

#include <doctest/doctest.h>

#include <cmath>

#include "evaluate/scores.h"
#include "run/testing.h"

namespace karat {
namespace {

TEST_CASE("mean and standard error of 1, 2, 3, 6") {
  Mean mean;
  for (const double value : {1.0, 2.0, 3.0, 6.0}) mean.add(value);
  CHECK(mean.value() == doctest::Approx(3));
  CHECK(mean.standard_error() == doctest::Approx(std::sqrt(14.0 / 3 / 4)));  // s² = 14/3
  const Perplexity perplexity = perplexity_of(mean);
  CHECK(perplexity.value == doctest::Approx(std::exp(3.0)));
  CHECK(perplexity.standard_error == doctest::Approx(std::exp(3.0) * std::sqrt(14.0 / 12)));
  Mean one;
  one.add(5);
  CHECK(one.standard_error() == 0);
}

TEST_CASE("a paired difference of perplexities") {
  const std::vector<double> a{1, 2, 4, 1.5}, b{1.1, 2.1, 3.8, 1.6};
  const RoundedActivations found = compare_perplexity(a, b);
  const double pa = std::exp(8.5 / 4), pb = std::exp(8.6 / 4);
  CHECK(found.perplexity.value == doctest::Approx(pb));
  CHECK(found.difference == doctest::Approx(pb - pa));
  CHECK(found.nll_difference == doctest::Approx(0.025));
  CHECK(found.nll_standard_error == doctest::Approx(0.075));  // of 0.1, 0.1, −0.2, 0.1: s = 0.15
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < 4; ++i) mean += (pb * b[i] - pa * a[i]) / 4;
  for (std::size_t i = 0; i < 4; ++i) squares += std::pow(pb * b[i] - pa * a[i] - mean, 2);
  CHECK(found.standard_error == doctest::Approx(std::sqrt(squares / 3 / 4)));
  const RoundedActivations same = compare_perplexity(a, a);
  CHECK(same.difference == 0);
  CHECK(same.standard_error == 0);
}

TEST_CASE("quantiles interpolate") {
  std::vector<float> values{4, 1, 3, 2};
  CHECK(quantile(values, 0.5) == doctest::Approx(2.5));
  CHECK(quantile(values, 0) == 1);
  CHECK(quantile(values, 1) == 4);
  CHECK(quantile(values, 0.99) == doctest::Approx(3.97));
}

TEST_CASE("scores of logits whose softmax is 1/4, 1/2, 1/4") {
  const std::vector<float> p{0, std::log(2.0f), 0}, q{std::log(2.0f), 0, 0};
  const LogSoftmax of_p = log_softmax(p), of_q = log_softmax(q);
  CHECK(of_p.best == 1);
  CHECK(of_q.best == 0);
  CHECK(negative_log_likelihood(p, of_p, 1) == doctest::Approx(std::log(2)));
  CHECK(negative_log_likelihood(p, of_p, 2) == doctest::Approx(std::log(4)));
  // ¼ log(¼/½) + ½ log(½/¼) + ¼ log 1
  CHECK(kl_divergence(p, of_p, q, of_q) == doctest::Approx(0.25 * std::log(2)));
  CHECK(kl_divergence(p, of_p, p, of_p) == 0);
}

TEST_CASE("the log-sum of many logits is that of doubles") {
  Rng rng(3);
  for (const std::int64_t count : {1, 7, 511, 512, 513, 40000}) {
    CAPTURE(count);
    const std::vector<float> logits = testing::random_floats(count, 20, rng);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    CHECK(std::abs(log_softmax(logits).log_sum - std::log(sum)) < 1e-6);
  }
}

TEST_CASE("the five likeliest tokens, lowest ids first among equals") {
  CHECK(top_five(std::vector<float>{1, 3, 2, 3, 0, 3, 2, -1}) == TopFive{1, 3, 5, 2, 6});
  CHECK(top_five(std::vector<float>{0, 5}) == TopFive{1, 0, -1, -1, -1});
  CHECK(shared_tokens({1, 3, 5, 2, 6}, {6, 0, 1, 9, 8}) == 2);
  CHECK(shared_tokens({1, 0, -1, -1, -1}, {0, 1, -1, -1, -1}) == 2);
}

TEST_CASE("large logits do not overflow") {
  const std::vector<float> logits{3e38f, 0, -3e38f};
  const LogSoftmax of = log_softmax(logits);
  CHECK(negative_log_likelihood(logits, of, 0) == 0);
  CHECK(std::isfinite(negative_log_likelihood(logits, of, 2)));
}

}  // namespace
}  // namespace karat
