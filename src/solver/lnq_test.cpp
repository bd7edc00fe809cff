#include <doctest/doctest.h>

#include "karat/error.h"
#include "solver/testing.h"

namespace karat {
Solver lnq_solver(Options& options);
Solver nearest_solver(Options& options);
}  // namespace karat
using namespace karat;
using namespace karat::testing;

namespace {

/// Least squares over a table's values one row at a time, in double.
void naive_refit(const Slab& slab, const torch::Tensor& slope, const torch::Tensor& codes,
                 torch::Tensor& tables) {
  const torch::Tensor gram = slab.gram.to(torch::kFloat64);
  for (std::int64_t row = 0; row < codes.size(0); ++row) {
    torch::Tensor p =
        torch::one_hot(codes[row].to(torch::kInt64), 4).to(torch::kFloat64);  // [n, 4]
    if (slab.kept.defined()) p.masked_fill_(slab.kept[row].unsqueeze(1), 0);
    const torch::Tensor pull = p.t().matmul(slope[row].to(torch::kFloat64));
    tables[row] -= torch::linalg_pinv(p.t().matmul(gram).matmul(p)).matmul(pull);
  }
}

/// Four values per row and group, in any order; the start is even steps over the range.
Grid table_grid(std::int64_t group, bool fixed = false) {
  Grid grid = range_grid(group);
  grid.fit = [range = grid.fit](const Slab& slab) -> GridParams {
    const GridParams line = range(slab);
    return {line[1] + line[0] * torch::tensor({{0.5f, 2.5f, 4.5f, 6.5f}})};
  };
  grid.encode = [](const auto& weight, const GridParams& params) -> torch::Tensor {
    return (weight.unsqueeze(2) - params[0].unsqueeze(1)).abs().argmin(2);
  };
  grid.decode = [](const auto& codes, const GridParams& params) -> torch::Tensor {
    return params[0].gather(1, codes.to(torch::kInt64));
  };
  grid.refit = [fixed](const Slab& slab, const torch::Tensor& slope, torch::Tensor& codes,
                       GridParams& params) {
    if (!fixed) naive_refit(slab, slope, codes, params[0]);
  };
  return grid;
}

/// One cycle of coordinate descent, weight by weight, in double.
torch::Tensor naive_cycle(const Layer& layer, const Kept& kept, const torch::Tensor& tables,
                          torch::Tensor decoded) {
  const auto h = layer.stats.hessian.accessor<float, 2>();
  const auto w = layer.weight.accessor<float, 2>(), table = tables.accessor<float, 2>();
  auto value = decoded.accessor<float, 2>();
  for (std::int64_t row = 0; row < layer.weight.size(0); ++row)
    for (std::int64_t i = 0; i < layer.weight.size(1); ++i) {
      if (kept.defined() && kept[row][i].item<bool>()) continue;
      double wanted = w[row][i];
      for (std::int64_t k = 0; k < layer.weight.size(1); ++k)
        if (k != i) wanted -= static_cast<double>(h[i][k]) / h[i][i] * (value[row][k] - w[row][k]);
      for (std::int64_t code = 0; code < 4; ++code)
        if (std::abs(table[row][code] - wanted) < std::abs(value[row][i] - wanted))
          value[row][i] = table[row][code];
    }
  return decoded;
}

}  // namespace

TEST_CASE("a cycle of lnq is coordinate descent weight by weight") {
  for (const std::int64_t in : {20, 150})
    for (const bool with_kept : {false, true}) {
      const Layer layer = random_layer(6, in, static_cast<std::uint64_t>(in));
      const Kept kept = with_kept ? torch::rand({6, in}) < 0.1 : Kept();
      const Grid grid = table_grid(0, /*fixed=*/true);
      const Solution start = solve(nearest_solver, layer, kept, grid);
      const Solution found = solve(lnq_solver, layer, kept, grid, "rounds=1,cycles=1");
      const torch::Tensor expected =
          naive_cycle(layer, kept, start.params[0][0], decode(start, grid).clone());
      CHECK(!torch::equal(found.codes, start.codes));
      CHECK(((decode(found, grid) - expected).abs() < 1e-5).all(1).sum().item<std::int64_t>() >= 5);
      CHECK(output_error(layer, decode(found, grid)) ==
            doctest::Approx(output_error(layer, expected)).epsilon(0.02));
    }
}

TEST_CASE("the error of lnq never rises from round to round and cycle to cycle") {
  for (const std::int64_t group : {0, 8, 48})
    for (const bool with_kept : {false, true}) {
      CAPTURE(group);
      CAPTURE(with_kept);
      const Layer layer = random_layer(8, 96, static_cast<std::uint64_t>(group + 1));
      const Kept kept = with_kept ? torch::rand({8, 96}) < 0.05 : Kept();
      const Grid grid = table_grid(group);
      const double start =
          output_error(layer, decode(solve(nearest_solver, layer, kept, grid), grid));
      double last = start;
      for (const char* text : {"rounds=1,cycles=1", "rounds=1,cycles=2", "rounds=1,cycles=3",
                               "rounds=2,cycles=3", "rounds=3,cycles=3", "rounds=9,cycles=3"}) {
        CAPTURE(text);
        const double now =
            output_error(layer, decode(solve(lnq_solver, layer, kept, grid, text), grid));
        CHECK(now <= last * (1 + 1e-6));
        last = now;
      }
      CHECK(last < 0.7 * start);
    }
}

TEST_CASE("tables are fitted to the errors of all groups") {
  const Layer layer = random_layer(5, 32, 4);
  Grid grid = table_grid(16);
  std::vector<torch::Tensor> slopes;
  grid.refit = [&](const Slab& slab, const torch::Tensor& slope, const auto&, const auto&) {
    CHECK(torch::equal(slab.gram,
                       layer.stats.hessian.slice(0, 16 * slopes.size(), 16 * slopes.size() + 16)
                           .slice(1, 16 * slopes.size(), 16 * slopes.size() + 16)));
    slopes.push_back(slope.clone());
  };
  const torch::Tensor start = decode(solve(nearest_solver, layer, {}, grid), grid);
  solve(lnq_solver, layer, {}, grid, "rounds=1");
  const torch::Tensor error = start - layer.weight;
  REQUIRE(slopes.size() == 2);
  CHECK(torch::allclose(torch::cat(slopes, 1), error.matmul(layer.stats.hessian), 1e-4, 1e-5));
}

TEST_CASE("lnq keeps what is kept, minds no dead input, and refuses a grid without tables") {
  Layer layer = random_layer(4, 32, 6);
  Kept kept = torch::rand({4, 32}) < 0.2;
  layer.stats.hessian.select(0, 5).fill_(0);
  layer.stats.hessian.select(1, 5).fill_(0);
  const Grid grid = table_grid(0);
  const Solution solution = solve(lnq_solver, layer, kept, grid);
  CHECK(torch::equal(solution.kept, kept));
  CHECK(torch::equal(solution.weight, layer.weight));
  CHECK(decode(solution, grid).isfinite().all().item<bool>());
  Options options("solver lnq", "");
  CHECK_THROWS_WITH_AS(lnq_solver(options).check(test_grid(0)), doctest::Contains("grid of tables"),
                       Error);
  CHECK_THROWS_AS(solve(lnq_solver, layer, kept, grid, "hessian=guided"), Error);
}
