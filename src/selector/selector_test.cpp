#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "core/rng.h"
#include "karat/recipe.h"

namespace karat {
Selector top_selector(Options& options);
Selector none_selector(Options& options);
}  // namespace karat
using namespace karat;

namespace {

Selector top(const std::string& text) {
  Options options("selector top", text);
  Selector selector = top_selector(options);
  options.finish();
  return selector;
}

/// Scores in coarse steps, so that ties are common.
torch::Tensor tied_scores(std::int64_t out, std::int64_t in, std::uint64_t seed) {
  Rng rng(seed);
  torch::Tensor scores = torch::empty({out, in}, torch::kFloat32);
  for (std::int64_t i = 0; i < out * in; ++i)
    scores.data_ptr<float>()[i] = static_cast<float>(rng.below(50));
  return scores;
}

/// The oracle: sort everything, best first, ties by index.
std::vector<std::int64_t> naive_top(const float* scores, std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return scores[a] > scores[b]; });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<std::int64_t> to_vector(const torch::Tensor& indices) {
  return {indices.data_ptr<std::int64_t>(), indices.data_ptr<std::int64_t>() + indices.numel()};
}

}  // namespace

TEST_CASE("one percent of a 64 by 256 matrix is exactly 163 weights") {
  CHECK(top("0.01").choose({tied_scores(64, 256, 1)})[0].numel() == 163);
  CHECK(top("0").choose({tied_scores(64, 256, 1)})[0].numel() == 0);
  CHECK(top("1").choose({tied_scores(64, 256, 1)})[0].numel() == 64 * 256);
  CHECK(top("0.29").choose({tied_scores(1, 100, 1)})[0].numel() == 29);
}

TEST_CASE("top takes the best, ties by index") {
  const torch::Tensor a = tied_scores(40, 70, 2), b = tied_scores(30, 50, 3);
  const auto matrix = top("0.05").choose({a, b});
  CHECK(to_vector(matrix[0]) == naive_top(a.data_ptr<float>(), 2800, 140));
  CHECK(to_vector(matrix[1]) == naive_top(b.data_ptr<float>(), 1500, 75));

  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < 40; ++row)
    for (const std::int64_t column : naive_top(a.data_ptr<float>() + row * 70, 70, 3))
      rows.push_back(row * 70 + column);
  CHECK(to_vector(top("0.05,scope=row").choose({a})[0]) == rows);
}

TEST_CASE("scope model shares one budget among all layers") {
  const torch::Tensor a = tied_scores(40, 70, 4), b = tied_scores(30, 50, 5) + 20;
  const Selector selector = top("0.05,scope=model");
  CHECK(selector.whole_model);
  const auto chosen = selector.choose({a, b});
  const torch::Tensor all = torch::cat({a.flatten(), b.flatten()});
  std::vector<std::int64_t> joined = to_vector(chosen[0]);
  for (const std::int64_t index : to_vector(chosen[1])) joined.push_back(index + 2800);
  CHECK(joined == naive_top(all.data_ptr<float>(), 4300, 215));
  CHECK(chosen[1].numel() > 75);  // the dearer layer gets more than its share
}
