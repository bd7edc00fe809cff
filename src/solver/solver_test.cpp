#include <doctest/doctest.h>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/testing.h"

namespace karat {
Solver nearest_solver(Options& options);
Solver gptq_solver(Options& options);
}  // namespace karat
using namespace karat;
using namespace karat::testing;

namespace {

/// GPTQ as its derivation has it: after each column, the inverse of what is left of H afresh.
torch::Tensor naive_gptq(const Layer& layer, const Kept& kept, const Grid& grid) {
  const std::int64_t in = layer.weight.size(1), width = grid.group_size(in);
  torch::Tensor h = layer.stats.hessian.to(torch::kFloat64).clone();
  h += 0.01 * h.diagonal().mean() * torch::eye(in, torch::kFloat64);
  torch::Tensor w = layer.weight.to(torch::kFloat64).clone();
  torch::Tensor result = torch::empty_like(layer.weight);
  GridParams params;
  for (std::int64_t j = 0; j < in; ++j) {
    if (j % width == 0)
      params =
          grid.fit({.weight = w.slice(1, j, std::min(in, j + width)).to(torch::kFloat32),
                    .kept = kept.defined() ? kept.slice(1, j, std::min(in, j + width)) : kept});
    const torch::Tensor column = w.slice(1, j, j + 1).clone();
    torch::Tensor value = grid.decode(grid.encode(column.to(torch::kFloat32), params), params);
    if (kept.defined())
      value = torch::where(kept.slice(1, j, j + 1), column.to(torch::kFloat32), value);
    result.slice(1, j, j + 1).copy_(value);
    const torch::Tensor inverse = torch::linalg_inv(h.slice(0, j, in).slice(1, j, in));
    const torch::Tensor wrong = (column - value.to(torch::kFloat64)) / inverse[0][0];
    w.slice(1, j, in) -= wrong * inverse[0].unsqueeze(0);
  }
  return result;
}

}  // namespace

TEST_CASE("the factor inverts the damped Hessian") {
  for (const std::int64_t n : {50, 700}) {  // 700: halves are inverted
    const torch::Tensor h = random_layer(1, n, 1).stats.hessian;
    const torch::Tensor u = inverse_factor(h, 0.01, "layer");
    CHECK(torch::equal(u, u.triu()));
    const torch::Tensor damped = h + 0.01 * h.diagonal().mean() * torch::eye(n);
    CHECK((u.t().matmul(u).matmul(damped) - torch::eye(n)).abs().max().item<float>() < 1e-3f);
  }
}

TEST_CASE("a Hessian of one repeated input is damped until it factors; NaN is refused") {
  const torch::Tensor one = torch::ones({64, 64}) * 1e6;
  CHECK(inverse_factor(one, 1e-6, "layer").isfinite().all().item<bool>());
  CHECK_THROWS_AS(inverse_factor(-one, 0.01, "layer"), Error);
  torch::Tensor bad = torch::eye(4);
  bad[2][1].fill_(std::numeric_limits<float>::quiet_NaN());
  CHECK_THROWS_WITH(inverse_factor(bad, 0.01, "layer"),
                    "hessian of layer: got NaN or infinite values, expected finite activations; "
                    "the model overflows on this calibration text");
}

TEST_CASE("gptq equals the column by column derivation") {
  for (const std::int64_t in : {24, 150, 300})
    for (const std::int64_t group : {8, 48, 200, 0})
      for (const bool with_kept : {false, true}) {
        CAPTURE(in);
        CAPTURE(group);
        CAPTURE(with_kept);
        const Layer layer = random_layer(5, in, static_cast<std::uint64_t>(in + group));
        const Kept kept = with_kept ? torch::rand({5, in}) < 0.1 : Kept();
        const Grid grid = test_grid(group);
        const Solution fast = solve(gptq_solver, layer, kept, grid);
        const torch::Tensor found = decode(fast, grid), expected = naive_gptq(layer, kept, grid);
        // A weight that lies on the border of two codes may go either way in float and double, and
        // takes its row along: compare the rows that did not meet one, and the error of all.
        const torch::Tensor same = ((found - expected).abs() < 1e-3).all(1);
        CHECK(same.sum().item<std::int64_t>() >= 4);
        CHECK(output_error(layer, found) ==
              doctest::Approx(output_error(layer, expected)).epsilon(0.05));
      }
}

TEST_CASE("act-order is gptq on reordered columns with the groups they came from") {
  const Layer layer = random_layer(5, 96, 11);
  const Grid grid = test_grid(16);
  const Kept kept = torch::rand({5, 96}) < 0.1;
  // In a grid of one group the order of columns is all that act-order changes.
  const Grid whole = test_grid(0);
  const torch::Tensor order = layer.stats.hessian.diagonal().argsort(0, /*descending=*/true);
  Layer moved{.name = "layer", .weight = layer.weight.index_select(1, order)};
  moved.stats.hessian = layer.stats.hessian.index_select(0, order).index_select(1, order);
  const Solution expected = solve(gptq_solver, moved, kept.index_select(1, order), whole);
  const Solution found = solve(gptq_solver, layer, kept, whole, "order=1");
  CHECK(torch::equal(found.codes.index_select(1, order), expected.codes));
  // Static groups are fitted to the weights as they were.
  const Solution fixed = solve(gptq_solver, layer, kept, grid, "static=1");
  const Solution plain = solve(nearest_solver, layer, kept, grid);
  REQUIRE(fixed.params.size() == 6);
  for (std::size_t g = 0; g < 6; ++g) CHECK(torch::equal(fixed.params[g][0], plain.params[g][0]));
  CHECK(output_error(layer, decode(solve(gptq_solver, layer, {}, grid, "order=1"), grid)) <
        output_error(layer, decode(solve(nearest_solver, layer, {}, grid), grid)));
  Options bad("solver gptq", "order=1,static=0");
  CHECK_THROWS_AS(gptq_solver(bad), Error);
}

TEST_CASE("gptq is nearest when inputs are independent") {
  Layer layer = random_layer(6, 200, 7);
  layer.stats.hessian = torch::diag(layer.stats.hessian.diagonal());
  layer.stats.hessian[3][3].fill_(0);  // an input that was never active
  for (const std::int64_t group : {16, 0}) {
    const Grid grid = test_grid(group);
    const Solution gptq = solve(gptq_solver, layer, {}, grid);
    CHECK(torch::equal(gptq.codes, solve(nearest_solver, layer, {}, grid).codes));
    CHECK(torch::equal(gptq.weight, layer.weight));
  }
}

TEST_CASE("gptq lowers the output error of nearest on correlated inputs, on average") {
  double ratio = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Layer layer = random_layer(16, 96, seed);
    const Grid grid = test_grid(32);
    ratio += output_error(layer, decode(solve(gptq_solver, layer, {}, grid), grid)) /
             output_error(layer, decode(solve(nearest_solver, layer, {}, grid), grid));
  }
  CHECK(ratio / 10 < 0.8);
}

TEST_CASE("kept weights leave the range, and under nearest they do not move") {
  Layer layer = random_layer(4, 64, 3);
  layer.weight[2][5].fill_(50);
  Kept kept = torch::zeros({4, 64}, torch::kBool);
  kept[2][5].fill_(true);
  const Grid grid = test_grid(16);
  for (const auto factory : {nearest_solver, gptq_solver}) {
    const Solution solution = solve(factory, layer, kept, grid);
    CHECK(solution.params[0][0][2].item<float>() < 1);
    CHECK(decode(solution, grid)[2][5].item<float>() == solution.weight[2][5].item<float>());
    CHECK(solution.weight[2][5].item<float>() == doctest::Approx(50).epsilon(0.05));
  }
  CHECK(torch::equal(solve(nearest_solver, layer, kept, grid).weight, layer.weight));
}
