// Weights, costs and masks at the edge of sense, for every grid and every fit: what is stored stays
// finite, and weights that can be met are met.
#include <doctest/doctest.h>

#include "grid/affine/affine.h"

namespace karat {
// Written by cmake/registry.cmake.
const std::map<std::string, Grid (*)(Options&)>& grid_table();
const std::map<std::string, Fit (*)(Options&)>& fit_table();
}  // namespace karat
using namespace karat;

namespace {

Grid grid_of(const std::string& name, const std::string& text) {
  Options options("grid " + name, text);
  Grid grid = grid_table().at(name)(options);
  options.finish();
  return grid;
}

/// Every affine grid with every fit, in groups of 16; tables by group and by row.
std::vector<std::pair<std::string, Grid>> all_grids() {
  std::vector<std::pair<std::string, Grid>> grids;
  for (const std::string name : {"uniform", "nf4", "fp4", "e2m1"})
    for (const auto& [fit, factory] : fit_table())
      grids.emplace_back(name + " " + fit, grid_of(name, "group=16,fit=" + fit));
  for (const auto& [fit, factory] : fit_table())
    grids.emplace_back("bilevel " + fit,
                       grid_of("uniform", "bits=3,group=16,bilevel=1,fit=" + fit));
  grids.emplace_back("mse fisher", grid_of("uniform", "bits=2,group=16,fit=mse,cost=fisher"));
  grids.emplace_back("symmetric", grid_of("uniform", "group=16,symmetric=1"));
  grids.emplace_back("lut", grid_of("lut", "bits=3,group=16,cost=fisher"));
  grids.emplace_back("lut row", grid_of("lut", "bits=4,cost=fisher"));
  return grids;
}

/// What the grid's file decodes to, statistics and all finite.
torch::Tensor stored(const Grid& grid, const torch::Tensor& weight, const Kept& kept = {},
                     const torch::Tensor& cost = {}) {
  const std::int64_t in = weight.size(1), width = grid.group_size(in);
  Solution solution{.weight = weight, .kept = kept};
  std::vector<torch::Tensor> codes;
  for (std::int64_t begin = 0; begin < in; begin += width) {
    const std::int64_t end = std::min(in, begin + width);
    const auto part = [&](const torch::Tensor& x) {
      return x.defined() ? x.slice(1, begin, end) : x;
    };
    Slab slab{.weight = part(weight), .kept = part(kept), .cost = part(cost)};
    if (grid.gram) slab.gram = torch::eye(end - begin);
    solution.params.push_back(grid.fit(slab));
    for (const torch::Tensor& statistic : solution.params.back())
      CHECK(statistic.isfinite().all().item<bool>());
    if (grid.fit_rows)
      for (const torch::Tensor& statistic : grid.fit_rows(slab))
        CHECK(statistic.isfinite().all().item<bool>());
    codes.push_back(grid.encode(slab.weight, solution.params.back()));
  }
  solution.codes = torch::cat(codes, 1);
  const torch::Tensor decoded = grid.store("layer", solution).decoded;
  CHECK(decoded.isfinite().all().item<bool>());
  return decoded;
}

/// The largest |ŵ − w|, as a share of the largest |w|.
double worst(const torch::Tensor& decoded, const torch::Tensor& weight) {
  return ((decoded - weight).abs().max() / weight.abs().max()).item<double>();
}

}  // namespace

TEST_CASE("constant and all-zero groups decode nearly exactly") {
  for (const auto& [name, grid] : all_grids()) {
    CAPTURE(name);
    CHECK(stored(grid, torch::zeros({16, 32})).abs().max().item<double>() == 0);
    for (const double value : {0.7, -0.02, 6e4}) {
      const torch::Tensor constant = torch::full({16, 32}, value);
      CHECK(worst(stored(grid, constant), constant) <= 2e-3);
    }
    torch::Tensor mixed = torch::randn({16, 32}) * 0.02;  // some groups of each kind
    mixed.slice(0, 0, 4).slice(1, 0, 16).fill_(0.01);
    mixed.slice(0, 4, 8).slice(1, 16, 32).fill_(0);
    CHECK(worst(stored(grid, mixed), mixed) < 1);
  }
}

TEST_CASE("groups of which everything, or all but one weight, is kept") {
  torch::manual_seed(1);
  for (const auto& [name, grid] : all_grids()) {
    CAPTURE(name);
    const torch::Tensor weight = torch::randn({17, 32}) * 0.02;
    CHECK(worst(stored(grid, weight, torch::ones({17, 32}, torch::kBool)), weight) <= 1e-3);
    Kept some = torch::zeros({17, 32}, torch::kBool);
    some.slice(0, 3, 6).slice(1, 0, 16).fill_(true);
    some[7].fill_(true);
    some[7][20].fill_(false);
    const torch::Tensor decoded = stored(grid, weight, some);
    CHECK(worst(torch::where(some, decoded, weight), weight) <= 1e-3);
  }
}

TEST_CASE("a single column, a single row, and groups wider than the matrix") {
  torch::manual_seed(2);
  for (const auto& [name, grid] : all_grids()) {
    CAPTURE(name);
    for (const auto& [out, in] :
         std::vector<std::pair<int, int>>{{20, 1}, {1, 20}, {1, 1}, {5, 3}}) {
      CAPTURE(in);
      const torch::Tensor weight = torch::randn({out, in}) * 0.02;
      CHECK(worst(stored(grid, weight), weight) < 1.5);
    }
  }
}

TEST_CASE("very large, very small and very uneven weights") {
  torch::manual_seed(3);
  for (const auto& [name, grid] : all_grids()) {
    CAPTURE(name);
    const torch::Tensor weight = torch::randn({16, 32}).clamp(-3, 3) / 3;
    CHECK(worst(stored(grid, weight * 6e4), weight * 6e4) < 1);
    CHECK(stored(grid, weight * 1e-8).abs().max().item<double>() < 1e-6);
    stored(grid, weight * 1e-30);
    torch::Tensor uneven = weight * 1e-8;
    uneven[0][0] = 6e4;
    uneven[1][0] = -6e4;
    stored(grid, uneven);
  }
}

TEST_CASE("costs of 0, in parts and everywhere, and costs of very different sizes") {
  torch::manual_seed(4);
  for (const auto& [name, grid] : all_grids()) {
    CAPTURE(name);
    const torch::Tensor weight = torch::randn({16, 32}) * 0.02;
    CHECK(worst(stored(grid, weight, {}, torch::zeros({16, 32})), weight) < 1);
    torch::Tensor cost = torch::rand({16, 32});
    cost.slice(0, 0, 4).fill_(0);
    cost.slice(1, 0, 20).fill_(0);
    stored(grid, weight, {}, cost);
    stored(grid, weight, {}, torch::zeros({1, 32}));
    stored(grid, weight, {}, (torch::rand({16, 32}) * 60 - 50).exp());
    stored(grid, weight, {}, torch::full({16, 32}, 1e-38));
  }
}
