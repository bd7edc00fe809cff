#include <doctest/doctest.h>

#include "karat/error.h"
#include "tuner/shared/training_policy.h"

namespace karat {
namespace {

TEST_CASE("SAGM on a quadratic: the mean of the gradients here and at the moved point") {
  torch::manual_seed(5);
  const auto root = torch::randn({6, 6}, torch::kFloat64);
  const auto a = root.mm(root.t());  // L = xᵀ a x / 2 of x = (u, v), whose gradient is a x
  const Weights values = {{"u", torch::randn({2}, torch::kFloat64)},
                          {"v", torch::randn({4}, torch::kFloat64)}};
  int passes = 0;
  const GradientsAt at = [&](const Weights& point) {
    ++passes;
    const auto x = torch::cat({point.at("u"), point.at("v")});
    const auto g = a.mv(x);
    return LossAndGradients{0.5 * x.dot(g).item<double>(),
                            {{"u", g.narrow(0, 0, 2).clone()}, {"v", g.narrow(0, 2, 4).clone()}}};
  };
  const auto x = torch::cat({values.at("u"), values.at("v")});
  const auto g = a.mv(x);
  const auto found = make_training_policy("sagm:rho=0.3,alpha=0.02").value.gradients(values, at);
  const double move = 0.3 / g.norm().item<double>() - 0.02;
  const auto expected = (g + a.mv(x + g * move)) / 2;
  CHECK(passes == 2);
  CHECK(found.loss == doctest::Approx(0.5 * x.dot(g).item<double>()));
  CHECK(torch::allclose(torch::cat({found.gradients.at("u"), found.gradients.at("v")}), expected,
                        1e-12, 1e-12));
  const auto plain = make_training_policy("sagm:rho=0,alpha=0").value.gradients(values, at);
  CHECK(torch::allclose(torch::cat({plain.gradients.at("u"), plain.gradients.at("v")}), g));
}

TEST_CASE("a policy says itself in full, and an unknown one is refused") {
  CHECK(make_training_policy("sagm").text == "sagm:rho=0.05,alpha=0.001");
  CHECK_THROWS_AS(make_training_policy("sam"), Error);
  CHECK_THROWS_AS(make_training_policy("sagm:rho=-1"), Error);
  CHECK_THROWS_AS(make_training_policy("sagm:steps=3"), Error);
}

}  // namespace
}  // namespace karat
