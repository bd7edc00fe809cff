#include "solver/gptq/outliers.h"

#include <doctest/doctest.h>

#include "karat/error.h"
#include "solver/testing.h"

namespace karat {
Solver gptq_solver(Options& options);
}  // namespace karat
using namespace karat;
using namespace karat::testing;

namespace {

/// Σ cost·(ŵ − w)² of some weights on eight even steps over their own range.
double naive_error(const std::vector<double>& weights, const std::vector<double>& costs) {
  if (weights.empty()) return 0;
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  const double scale = *low < *high ? (*high - *low) / 7 : 1;
  double error = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double wrong = weights[i] - *low - scale * std::nearbyint((weights[i] - *low) / scale);
    error += costs[i] * wrong * wrong;
  }
  return error;
}

/// Weight by weight: the error of all that are not kept, less that of all but this one.
torch::Tensor naive_gain(const torch::Tensor& weight, const Kept& kept, const torch::Tensor& cost) {
  torch::Tensor gains = torch::zeros(weight.sizes(), torch::kFloat64);
  for (std::int64_t row = 0; row < weight.size(0); ++row)
    for (std::int64_t left_out = 0; left_out < weight.size(1); ++left_out) {
      std::vector<double> all, all_costs, others, other_costs;
      for (std::int64_t i = 0; i < weight.size(1); ++i) {
        if (kept.defined() && kept[row][i].item<bool>()) continue;
        all.push_back(weight[row][i].item<double>());
        all_costs.push_back(cost[i].item<double>());
        if (i == left_out) continue;
        others.push_back(all.back());
        other_costs.push_back(all_costs.back());
      }
      gains[row][left_out] = naive_error(all, all_costs) - naive_error(others, other_costs);
    }
  return gains;
}

struct Naive {
  torch::Tensor decoded;
  Kept kept;
};

/// SpQR column by column, the inverse of what is left of H afresh.
Naive naive_spqr(const Layer& layer, const Grid& grid, double relative, double damp) {
  const std::int64_t in = layer.weight.size(1), width = grid.group;
  torch::Tensor h = layer.stats.hessian.to(torch::kFloat64).clone();
  h += damp * h.diagonal().mean() * torch::eye(in, torch::kFloat64);
  const auto inverse = [&](std::int64_t j) {
    return torch::linalg_inv(h.slice(0, j, in).slice(1, j, in));
  };
  torch::Tensor w = layer.weight.to(torch::kFloat64).clone(),
                cost = torch::empty(in, torch::kFloat64);
  for (std::int64_t j = 0; j < in; ++j) cost[j] = 1 / inverse(j)[0][0];
  const double threshold = relative * (w.var(0) * cost).mean().item<double>();
  Naive found{torch::empty_like(w), torch::zeros_like(w, torch::kBool)};
  GridParams params;
  for (std::int64_t j = 0; j < in; ++j) {
    if (j % width == 0) {
      const torch::Tensor group = w.slice(1, j, std::min(in, j + width));
      const Kept likely = naive_gain(group, {}, cost.slice(0, j, j + width)) > threshold;
      params = grid.fit({.weight = group.to(torch::kFloat32), .kept = likely});
    }
    const torch::Tensor column = w.slice(1, j, j + 1).clone();
    torch::Tensor value =
        grid.decode(grid.encode(column.to(torch::kFloat32), params), params).to(torch::kFloat64);
    const Kept kept = (column - value).square() * cost[j] > threshold;
    value = torch::where(kept, column, value);
    found.decoded.slice(1, j, j + 1).copy_(value);
    found.kept.slice(1, j, j + 1).copy_(kept);
    const torch::Tensor rest = inverse(j);
    w.slice(1, j, in) -= (column - value) / rest[0][0] * rest[0].unsqueeze(0);
  }
  return found;
}

}  // namespace

TEST_CASE("the gain of leaving a weight out equals the loop over weights") {
  torch::manual_seed(3);
  for (const bool with_kept : {false, true}) {
    const torch::Tensor weight = torch::randn({7, 16}).pow(3), cost = torch::rand({1, 16}) + 0.1;
    const Kept kept = with_kept ? torch::rand({7, 16}) < 0.2 : Kept();
    const torch::Tensor found =
        leave_one_out_gain({.weight = weight, .kept = kept}, cost, range_grid(16));
    const torch::Tensor expected = naive_gain(weight, kept, cost[0]);
    CHECK(torch::allclose(found.to(torch::kFloat64), expected, 1e-3, 1e-4));
    CHECK(expected.max().item<double>() > 1);
    if (with_kept) CHECK(found.masked_select(kept).abs().max().item<float>() == 0);
  }
  const torch::Tensor cost = torch::tensor({{2.0f, 4.0f}});
  const torch::Tensor weight = torch::tensor({{0.0f, 1.0f}, {2.0f, 4.0f}});  // variances 2 and 4.5
  CHECK(outlier_threshold(0.2, weight, cost) == doctest::Approx(0.2 * (2 * 2.0 + 4 * 4.5) / 2));
}

TEST_CASE("gptq with outliers is SpQR as it is written") {
  for (const std::int64_t in : {32, 72}) {
    CAPTURE(in);
    Layer layer = random_layer(6, in, static_cast<std::uint64_t>(in));
    layer.weight = layer.weight.pow(3) * 10;  // heavy tails
    const Grid grid = range_grid(16);
    const Solution found = solve(gptq_solver, layer, {}, grid, "damp=1,outliers=0.2");
    const Naive expected = naive_spqr(layer, grid, 0.2, 1);
    const torch::Tensor same = (found.kept == expected.kept).all(1) &
                               ((decode(found, grid) - expected.decoded).abs() < 1e-3).all(1);
    CHECK(same.sum().item<std::int64_t>() >= 5);  // a row may meet the border of two codes
    const double share = found.kept.to(torch::kFloat32).mean().item<double>();
    CHECK(share > 0.001);
    CHECK(share < 0.1);
    CHECK(output_error(layer, decode(found, grid)) <
          0.8 * output_error(layer, decode(solve(gptq_solver, layer, {}, grid, "damp=1"), grid)));
  }
}

TEST_CASE("outliers join the weights already kept, find the planted one, and may be none") {
  Layer layer = random_layer(4, 64, 9);
  layer.weight[2][21].fill_(4);
  Kept kept = torch::zeros({4, 64}, torch::kBool);
  kept[1][3].fill_(true);
  const Grid grid = range_grid(16);
  for (const std::string order : {"0", "1"}) {
    const Solution solution =
        solve(gptq_solver, layer, kept, grid, "damp=1,outliers=0.5,order=" + order);
    CHECK(solution.kept[1][3].item<bool>());
    CHECK(solution.kept[2][21].item<bool>());
    CHECK(solution.kept.sum().item<std::int64_t>() < 8);
    const torch::Tensor range = solution.params[1][0] * 7;
    CHECK(range[2].item<float>() < 1);
  }
  CHECK(!solve(gptq_solver, layer, {}, grid, "outliers=1e6").kept.defined());
  const Solution without = solve(gptq_solver, layer, {}, grid, "outliers=1e6");
  CHECK(torch::equal(without.codes, solve(gptq_solver, layer, {}, grid).codes));
  Grid table = grid;
  table.fit_rows = {};
  Options options("solver gptq", "outliers=0.2");
  const Solver solver = gptq_solver(options);
  CHECK(solver.keeps);
  CHECK_THROWS_WITH_AS(solver.check(table), doctest::Contains("an affine grid"), Error);
}
