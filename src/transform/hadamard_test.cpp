#include <doctest/doctest.h>

#include "karat/axes.h"
#include "karat/error.h"
#include "recipe/basis.h"

namespace karat {
Transform hadamard_transform(Options& options);
}
using namespace karat;

namespace {

Basis rotation_of(const std::string& text) {
  Options options("transform hadamard", text);
  const Transform transform = hadamard_transform(options);
  options.finish();
  return transform.fit({}, {}, {});
}

/// R as a matrix [n, n]: what in_basis makes of weights I, with only one output or input rotated.
torch::Tensor matrix(std::int64_t n, bool outputs, std::uint32_t seed) {
  std::vector<torch::Tensor> columns;
  for (std::int64_t i = 0; i < n; ++i) {
    Layer layer{
        .name = "e",
        .weight = torch::zeros(outputs ? std::vector<int64_t>{n, 1} : std::vector<int64_t>{1, n})};
    layer.weight.view(-1)[i].fill_(1);
    const torch::Tensor sign =
        in_basis({.name = "1", .weight = torch::ones({1, 1})}, {.rotation = seed}).weight;
    columns.push_back(in_basis(layer, {.rotation = seed}).weight.view(-1) / sign.item<float>());
  }
  return torch::stack(columns, 1);
}

}  // namespace

TEST_CASE("statistics rotate with the weights as if they had been measured there") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({50, 12}), m = torch::rand({12}) + 0.5;
  Layer layer{.name = "layer", .weight = torch::randn({7, 12})};
  const auto hessian = [](const torch::Tensor& x) { return x.t().matmul(x) * (2.0 / 50); };
  layer.stats.hessian = layer.stats.guided = hessian(x);
  layer.stats.input_abs = x.abs().mean(0);
  const torch::Tensor weight = layer.weight.clone().requires_grad_();
  const auto loss = [](const torch::Tensor& y) { return y.pow(3).sum(); };
  layer.stats.gradient = torch::autograd::grad({loss(x.matmul(weight.t()))}, {weight})[0];
  layer.stats.fisher = layer.stats.gradient.square();
  layer.stats.input_factor = layer.stats.hessian;
  const torch::Tensor seen = torch::randn({20, 7});  // as gradients of outputs are
  layer.stats.output_factor = seen.t().matmul(seen);

  const Basis basis{.multiplier = m, .rotation = 8};
  const Layer moved = in_basis(layer, basis);
  // The bases of a matrix with one row, or one column, are ±1 on that side.
  const torch::Tensor in = matrix(12, false, 8), out = matrix(7, true, 8);
  CHECK(torch::allclose(in.matmul(in.t()), torch::eye(12), 1e-5, 1e-6));
  const torch::Tensor there = (x * m).matmul(in.t());  // R_in (m∘x)
  const torch::Tensor y = there.matmul(moved.weight.t()).matmul(out);
  const torch::Tensor plain = x.matmul(layer.weight.t());
  // `matrix` knows R_in and R_out up to a sign each.
  CHECK((torch::allclose(y, plain, 1e-4, 1e-4) || torch::allclose(-y, plain, 1e-4, 1e-4)));
  CHECK(torch::allclose(moved.stats.hessian, hessian(there), 1e-4, 1e-4));
  CHECK(torch::equal(moved.stats.guided, moved.stats.hessian));
  CHECK(torch::equal(moved.stats.input_factor, moved.stats.hessian));
  const torch::Tensor seen_there = seen.matmul(out.t());
  CHECK(torch::allclose(moved.stats.output_factor, seen_there.t().matmul(seen_there), 1e-4, 1e-4));
  CHECK(torch::allclose(moved.stats.input_square, there.square().mean(0), 1e-4, 1e-4));
  const torch::Tensor gradient = out.matmul(layer.stats.gradient * m).matmul(in.t());
  CHECK((torch::allclose(moved.stats.gradient, gradient, 1e-3, 1e-2) ||
         torch::allclose(moved.stats.gradient, -gradient, 1e-3, 1e-2)));
  CHECK_FALSE(moved.stats.fisher.defined());
  CHECK_FALSE(moved.stats.input_abs.defined());
}

TEST_CASE("hadamard leaves no weight that stands out, and rotates by the seed it is given") {
  torch::manual_seed(2);
  torch::Tensor weight = torch::randn({96, 172}) * 0.02;
  weight[5] *= 20;
  weight[7][100].fill_(3);
  const auto largest = [](const torch::Tensor& w) {
    return (w.abs().max() / w.square().mean().sqrt()).item<float>();
  };
  const Layer layer{.name = "layer", .weight = weight};
  CHECK(largest(weight) > 15);
  for (const char* seed : {"seed=0", "seed=3"}) {
    const Layer rotated = in_basis(layer, rotation_of(seed));
    CHECK(largest(rotated.weight) < 6);
    CHECK(rotated.weight.norm().item<float>() ==
          doctest::Approx(weight.norm().item<float>()).epsilon(1e-4));
  }
  CHECK(rotation_of("").rotation == 0u);
  CHECK(rotation_of("seed=3").rotation == 3u);
  CHECK_FALSE(rotation_of("").multiplier.defined());
  CHECK_THROWS_AS(rotation_of("seed=-1"), Error);
}

TEST_CASE("a grid that weighs single weights is refused") {
  Options options("transform hadamard", "");
  const Transform transform = hadamard_transform(options);
  const Grid fisher{.needs = {.fisher = true}}, inputs{.needs = {.input_square = true}};
  CHECK_THROWS_AS(transform.check(fisher, {.fisher = true}), Error);
  CHECK_THROWS_AS(transform.check(inputs, {.input_square = true}), Error);
  // Mean squares of rotated inputs are on the diagonal of their Hessian.
  CHECK_NOTHROW(transform.check(inputs, {.hessian = true, .input_square = true}));
  CHECK_NOTHROW(transform.check({}, {}));
}
