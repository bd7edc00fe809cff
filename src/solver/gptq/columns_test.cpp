// Grids that round several columns together, and the order of columns.
#include <doctest/doctest.h>

#include "karat/error.h"
#include "solver/testing.h"

namespace karat {
Solver gptq_solver(Options& options);
Solver nearest_solver(Options& options);
}  // namespace karat
using namespace karat;
using namespace karat::testing;

namespace {

/// Every four weights of a row take the nearest of 64 random vectors, scaled to the group; its
/// number stands at the first of them. What is left of a group takes the beginning of one.
Grid vector_grid(std::int64_t group) {
  torch::manual_seed(1);
  const torch::Tensor book = torch::randn({64, 4});
  const auto for_blocks = [](const torch::Tensor& x, const auto& body) {
    torch::Tensor result = torch::zeros(x.sizes());
    for (std::int64_t i = 0; i < x.size(1); i += 4) {
      const std::int64_t end = std::min(x.size(1), i + 4);
      result.slice(1, i, end).copy_(body(x.slice(1, i, end)));
    }
    return result;
  };
  return {.group = group,
          .block = 4,
          .fit = [](const Slab& slab) -> GridParams {
            return {slab.weight.square().mean(1, true).sqrt().clamp_min(1e-6)};
          },
          .encode = [=](const auto& weight, const GridParams& params) -> torch::Tensor {
            return for_blocks(weight / params[0], [&](const torch::Tensor& some) {
              const torch::Tensor vectors = book.slice(1, 0, some.size(1)).contiguous();
              torch::Tensor codes = torch::zeros(some.sizes());
              codes.select(1, 0).copy_(torch::cdist(some.contiguous(), vectors).argmin(1));
              return codes;
            });
          },
          .decode = [=](const auto& codes, const GridParams& params) -> torch::Tensor {
            return params[0] * for_blocks(codes, [&](const torch::Tensor& some) {
                     const torch::Tensor index = some.select(1, 0).to(torch::kInt64);
                     return book.index_select(0, index).slice(1, 0, some.size(1));
                   });
          }};
}

/// Block by block, the inverse of what is left of H afresh.
torch::Tensor naive_blocks(const Layer& layer, const Kept& kept, const Grid& grid) {
  const std::int64_t in = layer.weight.size(1), width = grid.group_size(in);
  torch::Tensor h = layer.stats.hessian.to(torch::kFloat64).clone();
  h += 0.01 * h.diagonal().mean() * torch::eye(in, torch::kFloat64);
  torch::Tensor w = layer.weight.to(torch::kFloat64).clone();
  torch::Tensor result = torch::empty_like(layer.weight);
  GridParams params;
  for (std::int64_t j = 0, end = 0; j < in; j = end) {
    end = std::min({in, j + grid.block, j / width * width + width});
    const auto cut = [](const torch::Tensor& x, std::int64_t from, std::int64_t to) {
      return x.defined() ? x.slice(1, from, to).clone() : x;
    };
    if (j % width == 0)
      params = grid.fit(
          {.weight = cut(w, j, j + width).to(torch::kFloat32), .kept = cut(kept, j, j + width)});
    const torch::Tensor block = cut(w, j, end), rounded = block.to(torch::kFloat32);
    torch::Tensor value = grid.decode(grid.encode(rounded, params), params);
    if (kept.defined()) value = torch::where(cut(kept, j, end), rounded, value);
    result.slice(1, j, end).copy_(value);
    const torch::Tensor inverse = torch::linalg_inv(h.slice(0, j, in).slice(1, j, in));
    const torch::Tensor own = inverse.slice(0, 0, end - j).slice(1, 0, end - j);
    w.slice(1, j, in) -= (block - value.to(torch::kFloat64))
                             .matmul(torch::linalg_inv(own))
                             .matmul(inverse.slice(0, 0, end - j));
  }
  return result;
}

}  // namespace

TEST_CASE("columns rounded together pass their error on together") {
  for (const std::int64_t in : {24, 150, 300})
    for (const std::int64_t group : {8, 50, 200, 0})
      for (const bool with_kept : {false, true}) {
        CAPTURE(in);
        CAPTURE(group);
        CAPTURE(with_kept);
        const Grid grid = vector_grid(group);
        const Layer layer = random_layer(5, in, static_cast<std::uint64_t>(in + group));
        const Kept kept = with_kept ? torch::rand({5, in}) < 0.1 : Kept();
        const torch::Tensor found = decode(solve(gptq_solver, layer, kept, grid), grid);
        const torch::Tensor expected = naive_blocks(layer, kept, grid);
        // As in the scalar case: a row that meets the border of two codes may go either way.
        CHECK(((found - expected).abs() < 1e-3).all(1).sum().item<std::int64_t>() >= 4);
        CHECK(output_error(layer, found) ==
              doctest::Approx(output_error(layer, expected)).epsilon(0.05));
      }
}

TEST_CASE("passing errors on helps vectors too, and they are not reordered") {
  double ratio = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Grid grid = vector_grid(32);
    const Layer layer = random_layer(16, 96, seed);
    ratio += output_error(layer, decode(solve(gptq_solver, layer, {}, grid), grid)) /
             output_error(layer, decode(solve(nearest_solver, layer, {}, grid), grid));
  }
  CHECK(ratio / 10 < 0.8);
  Options ordered("solver gptq", "order=1");
  CHECK_THROWS_WITH(
      gptq_solver(ordered).check(vector_grid(0)),
      "solver gptq: got order=1, a grid of 4 columns at a time, expected order=0; reordered "
      "columns have left their block");
}

TEST_CASE("wholly kept columns go last where groups are static, and so take up more error") {
  Layer layer = random_layer(6, 40, 5);
  Kept kept = torch::zeros({6, 40}, torch::kBool);
  for (const std::int64_t j : {0, 1, 17}) kept.select(1, j).fill_(true);
  const Grid grid = test_grid(0);
  const Solution last = solve(gptq_solver, layer, kept, grid, "static=1");
  // The naive way: the same columns moved to the end of the layer.
  torch::Tensor order = torch::arange(40);
  order = torch::cat({order.slice(0, 2, 17), order.slice(0, 18), torch::tensor({0, 1, 17})});
  Layer moved{.name = "layer", .weight = layer.weight.index_select(1, order)};
  moved.stats.hessian = layer.stats.hessian.index_select(0, order).index_select(1, order);
  const Solution expected = solve(gptq_solver, moved, kept.index_select(1, order), grid);
  CHECK(torch::equal(last.codes.index_select(1, order), expected.codes));
  CHECK(torch::equal(last.weight.index_select(1, order), expected.weight));
  CHECK(output_error(layer, decode(last, grid)) <
        output_error(layer, decode(solve(gptq_solver, layer, kept, grid), grid)));
}

TEST_CASE("the guided Hessian is asked for, used, and missed by name") {
  Layer layer = random_layer(4, 32, 2);
  const Grid grid = test_grid(8);
  const Solution expected = solve(gptq_solver, layer, {}, grid);
  std::swap(layer.stats.guided, layer.stats.hessian);
  CHECK(torch::equal(solve(gptq_solver, layer, {}, grid, "hessian=guided").codes, expected.codes));
  CHECK_THROWS_WITH(solve(gptq_solver, layer, {}, grid),
                    "hessian of layer: got no statistic, expected hessian=inputs from calibration");
  layer.stats.guided[1][2].fill_(std::numeric_limits<float>::infinity());
  CHECK_THROWS_WITH_AS(solve(gptq_solver, layer, {}, grid, "hessian=guided"),
                       doctest::Contains("hessian of layer: got NaN or infinite values"), Error);
  Options inputs("solver gptq", ""), guided("solver gptq", "hessian=guided");
  CHECK(gptq_solver(inputs).needs == Needs{.hessian = true});
  CHECK(gptq_solver(guided).needs == Needs{.guided = true});
}
