#include <doctest/doctest.h>

#include "karat/axes.h"
#include "recipe/basis.h"
#include "recipe/testing.h"

namespace karat {
Transform none_transform(Options& options);
Transform scale_transform(Options& options);
}  // namespace karat
using namespace karat;
using testing::test_grid;

namespace {

torch::Tensor round_to(const Grid& grid, const torch::Tensor& weight) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& slab : weight.split(grid.group, 1)) {
    const GridParams params = grid.fit({.weight = slab});
    parts.push_back(grid.decode(grid.encode(slab, params), params));
  }
  return torch::cat(parts, 1);
}

void measure(LinearStats& stats, const torch::Tensor& x) {
  stats.hessian = x.t().matmul(x) * (2.0 / static_cast<double>(x.size(0)));
  stats.input_abs = x.abs().mean(0);
  stats.input_square = x.square().mean(0);
}

}  // namespace

TEST_CASE("statistics move with the basis as if they had been measured there") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({50, 12}), m = torch::rand({12}) + 0.5;
  Layer layer{.name = "layer", .weight = torch::randn({7, 12})};
  measure(layer.stats, x);
  const torch::Tensor weight = layer.weight.clone().requires_grad_();
  const auto loss = [](const torch::Tensor& y) { return y.pow(3).sum(); };
  layer.stats.gradient = torch::autograd::grad({loss(x.matmul(weight.t()))}, {weight})[0];
  layer.stats.fisher = layer.stats.gradient.square();
  layer.stats.input_factor = layer.stats.hessian;
  layer.stats.output_factor = torch::randn({7, 7});

  const Layer moved = in_basis(layer, {m});
  LinearStats expected;
  measure(expected, x * m);
  CHECK(torch::allclose(moved.stats.hessian, expected.hessian, 1e-5, 1e-6));
  CHECK(torch::allclose(moved.stats.input_factor, expected.hessian, 1e-5, 1e-6));
  CHECK(torch::equal(moved.stats.output_factor, layer.stats.output_factor));
  CHECK(torch::allclose(moved.stats.input_abs, expected.input_abs, 1e-5, 1e-6));
  CHECK(torch::allclose(moved.stats.input_square, expected.input_square, 1e-5, 1e-6));
  CHECK(torch::allclose((x * m).matmul(moved.weight.t()), x.matmul(layer.weight.t()), 1e-5, 1e-5));
  const torch::Tensor there = moved.weight.clone().requires_grad_();
  const torch::Tensor gradient =
      torch::autograd::grad({loss((x * m).matmul(there.t()))}, {there})[0];
  CHECK(torch::allclose(moved.stats.gradient, gradient, 1e-4, 1e-3));
  CHECK(torch::allclose(moved.stats.fisher, gradient.square(), 1e-3, 1e-1));
  CHECK(torch::equal(in_basis(layer, {}).weight, layer.weight));
}

TEST_CASE("scale lowers the output error of layers with a few large inputs") {
  torch::manual_seed(2);
  torch::Tensor x = torch::randn({256, 64});
  x.slice(1, 3, 5) *= 30;
  Layer layer{.name = "layer", .weight = torch::randn({40, 64}) * 0.02};
  measure(layer.stats, x);
  const Grid grid = test_grid(16);
  Options options("transform scale", "");
  const Transform scale = scale_transform(options);
  const torch::Tensor m = scale.fit(layer, {}, grid).multiplier;
  CHECK(torch::equal(m, m.to(torch::kFloat16).to(torch::kFloat32)));
  CHECK((m > 0).all().item<bool>());
  CHECK(m[3].item<float>() < 0.5f * m[20].item<float>());
  const auto output_error = [&](const torch::Tensor& weight) {
    return x.matmul((weight - layer.weight).t()).square().sum().item<double>();
  };
  CHECK(output_error(round_to(grid, layer.weight / m) * m) <
        0.5 * output_error(round_to(grid, layer.weight)));
}

TEST_CASE("scale leaves a layer alone when nothing is to be gained, and survives dead inputs") {
  Layer layer{.name = "layer", .weight = torch::ones({4, 8})};
  measure(layer.stats, torch::zeros({16, 8}));
  Options options("transform scale", "");
  const torch::Tensor m = scale_transform(options).fit(layer, {}, test_grid(8)).multiplier;
  CHECK(torch::equal(m, torch::ones({8})));
  Options none("transform none", "");
  CHECK(!none_transform(none).fit);
}
