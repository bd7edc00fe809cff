// A mixture of experts is asked for what its router chooses, and differentiates as it should.
#include "model/experts.h"

#include <doctest/doctest.h>

#include <set>

#include "model/testing.h"

using namespace karat;

namespace {

/// What a block with these weights gives of x.
torch::Tensor forward(const FamilyFixture& fixture, const Weights& weights, const torch::Tensor& x,
                      const LinearObserver& observe = {}) {
  return block_forward(fixture.arch, 0, weights, x, observe);
}

}  // namespace

TEST_CASE("an expert sees its own tokens alone, and is not asked without one") {
  const FamilyFixture fixture("mixtral");
  const torch::NoGradGuard no_grad;
  Weights weights = load_block(fixture.arch, fixture.weights, 0);
  const auto& mlp = fixture.arch.blocks[0].mlp;
  auto router = weights.at(mlp.router->name + ".weight");
  router.zero_();
  router[3].fill_(1);
  router[1].fill_(0.5);  // both or neither of them: scores have one sign
  std::map<std::string, std::int64_t> tokens;
  forward(fixture, weights, torch::randn({2, 9, fixture.arch.hidden}),
          [&](const Linear& layer, const torch::Tensor& input, const torch::Tensor&) {
            tokens[layer.name] += input.size(0);
          });
  std::int64_t seen = 0;
  for (const auto& expert : mlp.experts) {
    CHECK(tokens[expert.gate.name] == tokens[expert.down.name]);
    seen += tokens[expert.up.name];
  }
  CHECK(seen == 2 * 18);
  CHECK(tokens[mlp.experts[1].gate.name] == tokens[mlp.experts[3].gate.name]);
  CHECK(tokens[fixture.arch.blocks[0].attention.q.name] == 18);

  torch::manual_seed(3);
  const auto few = torch::randn({1, 1, fixture.arch.hidden});
  std::set<std::string> asked;
  forward(fixture, weights, few,
          [&](const Linear& layer, const auto&, const auto&) { asked.insert(layer.name); });
  CHECK(asked.size() == 4 + 2 * 3);
}

TEST_CASE("gradients through router and experts equal finite differences") {
  const FamilyFixture fixture("qwen2_moe");
  const std::size_t sparse = 1;
  torch::manual_seed(4);
  Weights weights = load_block(fixture.arch, fixture.weights, sparse, torch::kCPU, torch::kFloat64);
  const auto& mlp = fixture.arch.blocks[sparse].mlp;
  const auto x = torch::randn({1, 6, fixture.arch.hidden}, torch::kFloat64);
  const auto loss = [&] { return block_forward(fixture.arch, sparse, weights, x).square().sum(); };
  for (const std::string& name : {mlp.router->name, mlp.own_share->name}) {
    CAPTURE(name);
    auto& tensor = weights.at(name + ".weight");
    tensor.requires_grad_();
    const auto gradient = torch::autograd::grad({loss()}, {tensor})[0];
    tensor.requires_grad_(false);
    for (const std::int64_t column : {0, 7, 23}) {
      const double step = 1e-6, before = tensor[0][column].item<double>();
      tensor[0][column] = before + step;
      const double up = loss().item<double>();
      tensor[0][column] = before - step;
      const double down = loss().item<double>();
      tensor[0][column] = before;
      CHECK(gradient[0][column].item<double>() ==
            doctest::Approx((up - down) / (2 * step)).epsilon(1e-5).scale(1e-3));
    }
  }
}
