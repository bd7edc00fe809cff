// Rounding with feedback on both sides, against the recursion of its definition in double.
#include <doctest/doctest.h>

#include <set>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/testing.h"
#include "solver/yaqa/two_sided.h"

namespace karat {
Solver gptq_solver(Options& options);
Solver yaqa_solver(Options& options);
}  // namespace karat
using namespace karat;
using namespace karat::testing;

namespace {

torch::Tensor random_hessian(std::int64_t n) {
  const torch::Tensor x = torch::matmul(torch::randn({4 * n, n}), torch::randn({n, n}));
  return x.t().matmul(x) / (4 * n);
}

/// With factors of their own on both sides.
Layer two_sided_layer(std::int64_t out, std::int64_t in, std::uint64_t seed) {
  Layer layer = random_layer(out, in, seed);
  layer.stats.input_factor = layer.stats.hessian;
  layer.stats.output_factor = random_hessian(out);
  return layer;
}

/// Multiples of a step, the same everywhere.
Grid step_grid(double step) {
  return {.fit = [step](const Slab& slab) -> GridParams {
            return {torch::full({slab.weight.size(0), 1}, step)};
          },
          .encode = [](const auto& weight, const GridParams& params) -> torch::Tensor {
            return (weight / params[0]).round();
          },
          .decode = [](const auto& codes, const GridParams& params) -> torch::Tensor {
            return codes * params[0];
          }};
}

/// tr(H_O Δ H_I Δᵀ) in double.
double two_sided_error(const torch::Tensor& inputs, const torch::Tensor& outputs,
                       const torch::Tensor& delta) {
  const torch::Tensor d = delta.to(torch::kFloat64);
  const torch::Tensor left = outputs.to(torch::kFloat64).matmul(d);
  return (left.matmul(inputs.to(torch::kFloat64)) * d).sum().item<double>();
}
double two_sided_error(const Layer& layer, const torch::Tensor& decoded) {
  return two_sided_error(layer.stats.input_factor, layer.stats.output_factor,
                         decoded - layer.weight);
}

/// H = A D Aᵀ, A unit upper triangular over diagonal blocks of `size`, in double.
struct BlockFactors {
  torch::Tensor unit, blocks;
};
BlockFactors naive_factors(torch::Tensor h, std::int64_t size) {
  const std::int64_t n = h.size(0);
  h = h.to(torch::kFloat64).clone();
  BlockFactors found{torch::eye(n, torch::kFloat64), torch::zeros_like(h)};
  for (std::int64_t begin = (n - 1) / size * size; begin >= 0; begin -= size) {
    const std::int64_t end = std::min(n, begin + size);
    const torch::Tensor own = h.slice(0, begin, end).slice(1, begin, end).clone();
    const torch::Tensor above = h.slice(0, 0, begin).slice(1, begin, end).clone();
    found.blocks.slice(0, begin, end).slice(1, begin, end).copy_(own);
    const torch::Tensor unit = above.matmul(torch::linalg_inv(own));
    found.unit.slice(0, 0, begin).slice(1, begin, end).copy_(unit);
    h.slice(0, 0, begin).slice(1, 0, begin) -= unit.matmul(above.t());
  }
  return found;
}

/// Of a result, in double: the weights that its definition says were rounded, W + AᵀΔB − Δ, and the
/// error as the sum tr(D_O E D_I Eᵀ).
struct Definition {
  torch::Tensor weight, delta, unit, wanted;  // `unit` is B
  double error = 0;
  /// The columns that a group which begins there is fitted to: they make up for the errors ΔB of
  /// all before as well as they could if nothing more were rounded.
  torch::Tensor moved(std::int64_t begin, std::int64_t width) const {
    torch::Tensor error = delta.matmul(unit);
    error.slice(1, begin).zero_();
    return (weight - error.matmul(torch::linalg_inv(unit))).slice(1, begin, begin + width);
  }
};
Definition by_definition(const torch::Tensor& weight, const TwoHessians& hessian,
                         const torch::Tensor& decoded, std::int64_t rows, std::int64_t columns) {
  const BlockFactors a = naive_factors(hessian.outputs, rows),
                     b = naive_factors(hessian.inputs, columns);
  const torch::Tensor w = weight.to(torch::kFloat64), delta = w - decoded.to(torch::kFloat64);
  const torch::Tensor e = a.unit.t().matmul(delta).matmul(b.unit);
  return {w, delta, b.unit, w + e - delta, two_sided_error(b.blocks, a.blocks, e)};
}

/// What every group's parameters make of `weight`; kept ones stay.
torch::Tensor rounded(const Solution& solution, const Grid& grid) {
  std::vector<torch::Tensor> parts;
  const std::int64_t width = grid.group_size(solution.weight.size(1));
  for (std::size_t i = 0; const auto& part : solution.weight.split(width, 1)) {
    const GridParams& params = solution.params[i++];
    parts.push_back(grid.decode(grid.encode(part, params), params));
  }
  const torch::Tensor dense = torch::cat(parts, 1);
  return solution.kept.defined() ? torch::where(solution.kept, solution.weight, dense) : dense;
}

TwoHessians damped(const TwoHessians& hessian, double share) {
  const auto of = [share](const torch::Tensor& h) {
    return h + share * h.diagonal().mean() * torch::eye(h.size(0));
  };
  return {of(hessian.inputs), of(hessian.outputs)};
}

}  // namespace

TEST_CASE("two rows and three columns by hand, and what one-sided rounding makes of them") {
  Layer layer{.name = "layer", .weight = torch::tensor({{0.3, -0.6, 1.2}, {0.9, 0.4, -0.2}})};
  const TwoHessians hessian{torch::tensor({{1., .5, 0.}, {.5, 1., .25}, {0., .25, .5}}),
                            torch::tensor({{2., 1.}, {1., 1.}})};
  const Grid grid = step_grid(0.5);
  const auto solved = [&](const torch::Tensor& outputs) {
    return decode(solve_two_sided(layer, {hessian.inputs, outputs}, {}, grid, {}), grid);
  };
  const torch::Tensor found = solved(hessian.outputs);
  CHECK(found.equal(torch::tensor({{0.5, -0.5, 1.}, {0.5, 0.5, 0.}})));
  CHECK(two_sided_error(hessian.inputs, hessian.outputs, layer.weight - found) ==
        doctest::Approx(0.12));
  CHECK(solved(torch::eye(2)).equal(torch::tensor({{0.5, -0.5, 1.}, {1., 0.5, 0.}})));
}

TEST_CASE("yaqa rounds what its definition says, and the errors it leaves add up to the trace") {
  for (const std::int64_t in : {24, 150})
    for (const std::int64_t group : {8, 50, 0})
      for (const auto& [rows, block] :
           {std::pair<std::int64_t, std::int64_t>{1, 1}, {4, 1}, {64, 1}, {4, 8}})
        for (const bool with_kept : {false, true}) {
          if (group % block != 0) continue;
          CAPTURE(in);
          CAPTURE(group);
          CAPTURE(rows);
          CAPTURE(block);
          CAPTURE(with_kept);
          const Layer layer = two_sided_layer(10, in, static_cast<std::uint64_t>(in + group));
          const Kept kept = with_kept ? torch::rand({10, in}) < 0.1 : Kept();
          Grid grid = test_grid(group);
          grid.block = block;
          const TwoHessians hessian{layer.stats.input_factor, layer.stats.output_factor};
          const Solution solution = solve_two_sided(layer, hessian, kept, grid,
                                                    {.damp = 0.01, .damp_out = 0.01, .rows = rows});
          const torch::Tensor found = decode(solution, grid);
          CHECK(found.equal(rounded(solution, grid)));
          const TwoHessians with_damp = damped(hessian, 0.01);
          const Definition definition = by_definition(layer.weight, with_damp, found, rows, block);
          CHECK((solution.weight - definition.wanted).abs().max().item<double>() < 2e-4);
          CHECK(two_sided_error(with_damp.inputs, with_damp.outputs, layer.weight - found) ==
                doctest::Approx(definition.error).epsilon(1e-5));
          const std::int64_t width = grid.group_size(in);
          for (std::int64_t begin = 0; begin < in; begin += width) {
            Slab slab{.weight = definition.moved(begin, width).to(torch::kFloat32)};
            if (with_kept) slab.kept = kept.slice(1, begin, begin + width);
            const torch::Tensor scale = solution.params[static_cast<std::size_t>(begin / width)][0];
            CHECK((grid.fit(slab)[0] - scale).abs().max().item<float>() < 1e-4f);
          }
        }
}

TEST_CASE("without a Hessian of the outputs yaqa is gptq, code for code") {
  for (const std::int64_t group : {8, 48, 200, 0})
    for (const std::string order : {"", "order=1"}) {
      Layer layer = two_sided_layer(20, 150, static_cast<std::uint64_t>(group));
      layer.stats.output_factor = torch::eye(20);
      const Kept kept = torch::rand({20, 150}) < 0.1;
      const Grid grid = test_grid(group);
      const Solution one = solve(gptq_solver, layer, {}, grid, order);
      const Solution two =
          solve(yaqa_solver, layer, {}, grid,
                "hessian=inputs,damp=0.01,rows=4" + (order.empty() ? "" : "," + order));
      CHECK(torch::equal(one.codes, two.codes));
      CHECK((one.weight - two.weight).abs().max().item<float>() < 1e-4f);
      const Solution kept_one = solve(gptq_solver, layer, kept, test_grid(0)),
                     kept_two =
                         solve(yaqa_solver, layer, kept, test_grid(0), "hessian=inputs,damp=0.01");
      CHECK(torch::equal(kept_one.codes, kept_two.codes));
      CHECK(torch::equal(kept_one.kept, kept_two.kept));
    }
}

TEST_CASE("feedback from rows lowers the error of one-sided rounding, the more the finer") {
  double one = 0, coarse = 0, fine = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Layer layer = two_sided_layer(48, 96, seed);
    const Grid grid = test_grid(32);
    const auto error = [&](const std::string& text) {
      return two_sided_error(layer, decode(solve(yaqa_solver, layer, {}, grid, text), grid));
    };
    one += two_sided_error(layer, decode(solve(gptq_solver, layer, {}, grid), grid));
    coarse += error("damp=0.01,damp_out=0.01,rows=16");
    fine += error("damp=0.01,damp_out=0.01,rows=1");
  }
  CHECK(coarse < 0.9 * one);
  CHECK(fine < 0.9 * coarse);
}

TEST_CASE(
    "the factors are asked for, used, and missed by name; outputs without gradient do no harm") {
  const auto needs = [](const std::string& text) {
    Options options("solver yaqa", text);
    return yaqa_solver(options).needs;
  };
  CHECK(needs("sketch=tokens") == Needs{.factors = Sketch::tokens});
  CHECK(needs("sketch=sequences") == Needs{.factors = Sketch::sequences});
  CHECK(needs("sketch=sequences,hessian=inputs") ==
        Needs{.hessian = true, .factors = Sketch::sequences});
  Layer layer = two_sided_layer(6, 32, 2);
  const Grid grid = test_grid(8);
  const Solution plain = solve(yaqa_solver, layer, {}, grid);
  layer.stats.input_factor = layer.stats.input_factor * 1e-9;  // as small as those of real models
  layer.stats.output_factor = layer.stats.output_factor * 1e-3;
  CHECK(torch::equal(solve(yaqa_solver, layer, {}, grid).codes, plain.codes));
  layer.stats.output_factor.select(0, 2).zero_();
  layer.stats.output_factor.select(1, 2).zero_();
  CHECK(decode(solve(yaqa_solver, layer, {}, grid), grid).isfinite().all().item<bool>());
  layer.stats.output_factor = torch::Tensor();
  CHECK_THROWS_WITH(solve(yaqa_solver, layer, {}, grid),
                    "hessian of layer: got no statistic, expected hessian=kl from calibration");
  layer.stats.output_factor = torch::full({6, 6}, std::numeric_limits<float>::quiet_NaN());
  CHECK_THROWS_WITH_AS(solve(yaqa_solver, layer, {}, grid),
                       doctest::Contains("hessian of layer: got NaN or infinite values"), Error);
  Options ordered("solver yaqa", "order=1"), contrary("solver yaqa", "order=1,static=0");
  CHECK_THROWS_WITH_AS(yaqa_solver(ordered).check(Grid{.block = 16}),
                       doctest::Contains("a grid of 16 columns at a time"), Error);
  CHECK_THROWS_AS(yaqa_solver(contrary), Error);
}

TEST_CASE("a grid that codes rows together is handed whole parts of them") {
  const Layer layer = two_sided_layer(40, 24, 4);
  Grid grid = test_grid(0);
  grid.rows = 16;
  std::vector<std::int64_t> seen;
  const auto encode = grid.encode;
  grid.encode = [&](const torch::Tensor& weight, const GridParams& params) {
    CHECK(weight.size(0) == params[0].size(0));
    seen.push_back(weight.size(0));
    return encode(weight, params);
  };
  const TwoHessians hessian{layer.stats.input_factor, layer.stats.output_factor};
  const auto rows_seen = [&](std::int64_t rows) {
    seen.clear();
    solve_two_sided(layer, hessian, {}, grid, {.damp = 0.01, .damp_out = 0.01, .rows = rows});
    return std::set<std::int64_t>(seen.begin(), seen.end());
  };
  CHECK(rows_seen(1) == std::set<std::int64_t>{8, 16});
  CHECK(rows_seen(17) == std::set<std::int64_t>{8, 32});
  CHECK(rows_seen(64) == std::set<std::int64_t>{40});
}
