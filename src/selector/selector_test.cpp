#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "core/rng.h"
#include "karat/axes.h"
#include "karat/error.h"
#include "recipe/testing.h"

namespace karat {
Selector top_selector(Options& options);
Selector none_selector(Options& options);
Selector saving_selector(Options& options);
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
  CHECK(top("0.01").choose({{tied_scores(64, 256, 1)}})[0].numel() == 163);
  CHECK(top("0").choose({{tied_scores(64, 256, 1)}})[0].numel() == 0);
  CHECK(top("1").choose({{tied_scores(64, 256, 1)}})[0].numel() == 64 * 256);
  CHECK(top("0.29").choose({{tied_scores(1, 100, 1)}})[0].numel() == 29);
}

TEST_CASE("top takes the best, ties by index") {
  const torch::Tensor a = tied_scores(40, 70, 2), b = tied_scores(30, 50, 3);
  const auto matrix = top("0.05").choose({{a}, {b}});
  CHECK(to_vector(matrix[0]) == naive_top(a.data_ptr<float>(), 2800, 140));
  CHECK(to_vector(matrix[1]) == naive_top(b.data_ptr<float>(), 1500, 75));

  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < 40; ++row)
    for (const std::int64_t column : naive_top(a.data_ptr<float>() + row * 70, 70, 3))
      rows.push_back(row * 70 + column);
  CHECK(to_vector(top("0.05,scope=row").choose({{a}})[0]) == rows);
}

TEST_CASE("scope model shares one budget among all layers") {
  const torch::Tensor a = tied_scores(40, 70, 4), b = tied_scores(30, 50, 5) + 20;
  const Selector selector = top("0.05,scope=model");
  CHECK(selector.whole_model);
  const auto chosen = selector.choose({{a}, {b}});
  const torch::Tensor all = torch::cat({a.flatten(), b.flatten()});
  std::vector<std::int64_t> joined = to_vector(chosen[0]);
  for (const std::int64_t index : to_vector(chosen[1])) joined.push_back(index + 2800);
  CHECK(joined == naive_top(all.data_ptr<float>(), 4300, 215));
  CHECK(chosen[1].numel() > 75);  // the more expensive layer gets more than its share
}

namespace {

/// Rows of 2-bit min-max, the plainest grid with a range.
Grid range_grid(std::int64_t group) {
  return testing::range_grid(group, 3);
}

/// Σ cost·error² of a matrix whose kept entries are exact.
double total_cost(const torch::Tensor& weight, const torch::Tensor& cost, const Kept& kept,
                  const Grid& grid) {
  double sum = 0;
  for (std::int64_t begin = 0; begin < weight.size(1); begin += grid.group) {
    const std::int64_t end = std::min(weight.size(1), begin + grid.group);
    const auto part = [&](const torch::Tensor& x) { return x.slice(1, begin, end); };
    const GridParams params = grid.fit({.weight = part(weight), .kept = part(kept)});
    const torch::Tensor error =
        grid.decode(grid.encode(part(weight), params), params) - part(weight);
    sum += (error.square() * part(cost)).masked_fill(part(kept), 0).sum().item<double>();
  }
  return sum;
}

/// The probe: whichever one weight saves most, its range fitted again, until the budget is spent.
Kept naive_saving(const torch::Tensor& weight, const torch::Tensor& cost, const Grid& grid,
                  std::int64_t count) {
  Kept kept = torch::zeros(weight.sizes(), torch::kBool);
  for (std::int64_t step = 0; step < count; ++step) {
    std::int64_t best = -1;
    double least = total_cost(weight, cost, kept, grid);
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      if (kept.view(-1)[i].item<bool>()) continue;
      Kept more = kept.clone();
      more.view(-1)[i] = true;
      const double now = total_cost(weight, cost, more, grid);
      if (now < least) {
        least = now;
        best = i;
      }
    }
    if (best < 0) break;
    kept.view(-1)[best] = true;
  }
  return kept;
}

Kept saving(const torch::Tensor& weight, const torch::Tensor& cost, const Grid& grid,
            const std::string& ratio) {
  Options options("selector saving", ratio);
  const Selector selector = saving_selector(options);
  options.finish();
  const torch::Tensor worth = selector.worth({.name = "layer", .weight = weight}, cost, grid);
  CHECK(worth.sizes() == weight.sizes());
  Kept kept = torch::zeros(weight.sizes(), torch::kBool);
  kept.view(-1).index_fill_(0, selector.choose({{worth}})[0], true);
  return kept;
}

}  // namespace

TEST_CASE("saving keeps what lets the range shrink, not what scores highest") {
  // One large weight whose own cost is small stretches the first group; the expensive weights of
  // the second group are rounded well.
  const torch::Tensor weight = torch::tensor({{.10f, .21f, .32f, .38f, .15f, 9.0f, .05f, .27f},
                                              {.00f, .10f, .20f, .30f, .00f, .10f, .20f, .30f}});
  torch::Tensor cost = torch::ones({2, 8});
  cost[0][5] = 0.1;
  cost[1].fill_(100);
  const Kept kept = saving(weight, cost, range_grid(8), "0.07");
  CHECK(kept.sum().item<std::int64_t>() == 1);
  CHECK(kept[0][5].item<bool>());
}

TEST_CASE("saving is at least as good as the greedy choice weight by weight") {
  torch::manual_seed(5);
  double found = 0, naive = 0;
  for (int trial = 0; trial < 6; ++trial) {
    const torch::Tensor weight = torch::randn({6, 20}).pow(3);  // heavy tails, narrow last group
    const torch::Tensor cost = torch::rand({6, 20}) + 0.01;
    const Grid grid = range_grid(8);
    const Kept chosen = saving(weight, cost, grid, "0.1");
    CHECK(chosen.sum().item<std::int64_t>() <= 12);
    found += total_cost(weight, cost, chosen, grid);
    naive += total_cost(weight, cost, naive_saving(weight, cost, grid, 12), grid);
  }
  CHECK(found <= naive * 1.02);
}

TEST_CASE("saving keeps nothing that saves nothing, and refuses a grid without a range") {
  const torch::Tensor exact = torch::tensor({{0.0f, 1.0f, 2.0f, 3.0f}});
  CHECK(saving(exact, torch::ones({1, 4}), range_grid(4), "0.5").sum().item<std::int64_t>() == 0);
  Grid grid = range_grid(4);
  grid.fit_rows = {};
  Options options("selector saving", "0.5");
  CHECK_THROWS_WITH_AS(saving_selector(options).check(grid), doctest::Contains("an affine grid"),
                       Error);
}

TEST_CASE("saving passes over groups that cannot win and keeps what it would otherwise") {
  torch::manual_seed(7);
  for (const auto& [out, in] : std::vector<std::pair<int, int>>{{60, 60}, {9000, 64}}) {
    const torch::Tensor weight = torch::randn({out, in}).pow(3);
    const torch::Tensor cost = (torch::randn({out, in}) * 2).exp();
    const Grid grid = range_grid(8);
    Options options("selector saving", "0.0075,scope=row");  // offers 3 % of all groups
    const Selector all = saving_selector(options);
    const torch::Tensor worth = all.worth({.name = "layer", .weight = weight}, cost, grid);
    Options top("selector top", "0.03");
    torch::Tensor expected = top_selector(top).choose({{worth}})[0];
    expected = expected.masked_select(worth.flatten().index_select(0, expected) > 0);
    const Kept kept = saving(weight, cost, grid, "0.03");
    CHECK(torch::equal(kept.flatten().nonzero().flatten(), expected));
  }
}
