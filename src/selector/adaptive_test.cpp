// The ratios of selector adaptive: numbers by hand, then against a search for the common factor.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/rng.h"
#include "karat/axes.h"
#include "karat/error.h"

namespace karat {
Selector adaptive_selector(Options& options);
}  // namespace karat
using namespace karat;

namespace {

using Counts = std::vector<std::int64_t>;

Selector adaptive(const std::string& text) {
  Options options("selector adaptive", text);
  Selector selector = adaptive_selector(options);
  options.finish();
  return selector;
}

struct Size {
  std::int64_t count;
  double score;
};

/// How many weights layers of these sizes and mean scores keep.
Counts kept(const std::string& text, const std::vector<Size>& sizes) {
  std::vector<Candidates> layers;
  for (const Size& size : sizes) layers.push_back({torch::rand({1, size.count}), size.score});
  Counts counts;
  for (const torch::Tensor& indices : adaptive(text).choose(layers))
    counts.push_back(indices.numel());
  return counts;
}

/// The oracle: the factor t with Σ min(cap, t · n · s^power) = budget, by bisection.
std::vector<double> shares(double budget, double power, double limit,
                           const std::vector<Size>& sizes) {
  const auto at = [&](double factor) {
    std::vector<double> found;
    for (const auto& [count, score] : sizes) {
      const auto n = static_cast<double>(count);
      found.push_back(std::min(std::ceil(limit * n), factor * n * std::pow(score, power)));
    }
    return found;
  };
  double low = 0, high = 1e9;
  for (int step = 0; step < 200; ++step) {
    const double middle = (low + high) / 2;
    const auto found = at(middle);
    (std::accumulate(found.begin(), found.end(), 0.0) < budget ? low : high) = middle;
  }
  return at(high);
}

const std::vector<Size> kLayers = {{100, 1e-8}, {200, 2e-8}, {100, 4e-8}};

}  // namespace

TEST_CASE("ratios by hand: 20 of 400 weights in layers scoring 1, 2 and 4") {
  CHECK(kept("0.05,power=0", kLayers) == Counts{5, 10, 5});
  CHECK(kept("0.05,power=1,limit=1", kLayers) == Counts{2, 9, 9});      // 2.2, 8.9, 8.9
  CHECK(kept("0.05,power=2,limit=1", kLayers) == Counts{1, 6, 13});     // 0.8, 6.4, 12.8
  CHECK(kept("0.05,power=2,limit=0.07", kLayers) == Counts{1, 12, 7});  // 1.4, 11.6, full
  CHECK(kept("0.05,limit=0.05", kLayers) == Counts{5, 10, 5});          // all full
  CHECK(kept("0", kLayers) == Counts{0, 0, 0});
  CHECK(kept("1,limit=1", kLayers) == Counts{100, 200, 100});
}

TEST_CASE("layers that score nothing come last, and alike when none scores") {
  CHECK(kept("0.05,limit=1", {{100, 0}, {200, 1}, {100, 1}}) == Counts{0, 13, 7});
  CHECK(kept("0.05,limit=1", {{100, 0}, {200, 0}, {100, 0}}) == Counts{5, 10, 5});
  CHECK(kept("0.05,limit=0.1", {{100, 0}, {200, 0}, {100, 1}}) == Counts{3, 7, 10});
}

TEST_CASE("the budget is met exactly and every layer gets what the common factor gives") {
  Rng rng(3);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<Size> sizes;
    double all = 0;
    for (int layer = 0; layer < 12; ++layer) {
      sizes.push_back({100 + static_cast<std::int64_t>(rng.below(900)), 0.01 + rng.uniform()});
      all += static_cast<double>(sizes.back().count);
    }
    const double power = 2 * rng.uniform();
    const Counts counts = kept("0.03,limit=0.06,power=" + number_text(power), sizes);
    const double budget = std::floor(0.03 * all * (1 + 1e-12));
    CHECK(std::accumulate(counts.begin(), counts.end(), 0.0) == budget);
    const auto wanted = shares(budget, power, 0.06, sizes);
    for (std::size_t i = 0; i < counts.size(); ++i)
      CHECK(std::abs(static_cast<double>(counts[i]) - wanted[i]) < 1);
  }
}

TEST_CASE("inside a layer the largest weights are kept, or the largest scores") {
  const Layer layer{.name = "layer", .weight = torch::tensor({{3.0f, -9.0f}, {0.5f, 4.0f}})};
  const torch::Tensor scores = torch::tensor({{1.0f, 2.0f}, {8.0f, 4.0f}});
  const Selector large = adaptive("0.25,limit=1");
  CHECK(large.whole_model);
  const torch::Tensor worth = large.worth(layer, scores, {});
  CHECK(torch::equal(worth, layer.weight.abs()));
  CHECK(large.choose({{worth, 1}})[0].item<std::int64_t>() == 1);
  const Selector by_score = adaptive("0.25,limit=1,by=score");
  CHECK(!by_score.worth);
  CHECK(by_score.choose({{scores, 1}})[0].item<std::int64_t>() == 2);
  CHECK_THROWS_WITH_AS(adaptive("0.1"), doctest::Contains("limit"), Error);
}
