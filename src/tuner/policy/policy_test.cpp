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
  const std::set<std::string> learned{"u"};
  const auto gradients = [&](const char* policy) {
    Weights memory;
    return make_training_policy(policy).value.gradients({values, learned, at, memory});
  };
  const auto found = gradients("sagm:rho=0.3,alpha=0.02");
  const double move = 0.3 / g.norm().item<double>() - 0.02;
  const auto expected = (g + a.mv(x + g * move)) / 2;
  CHECK(passes == 2);
  CHECK(found.loss == doctest::Approx(0.5 * x.dot(g).item<double>()));
  CHECK(torch::allclose(torch::cat({found.gradients.at("u"), found.gradients.at("v")}), expected,
                        1e-12, 1e-12));
  const auto plain = gradients("sagm:rho=0,alpha=0");
  CHECK(torch::allclose(torch::cat({plain.gradients.at("u"), plain.gradients.at("v")}), g));
}

TEST_CASE("GAQAT is SAGM until it freezes, and then takes the second gradient of what is learned") {
  const Weights values = {{"s", torch::tensor({2.0})}, {"w", torch::tensor({1.0, -3.0})}};
  const std::set<std::string> learned{"s"};
  const GradientsAt cubes = [](const Weights& point) {  // L = Σ x⁴ / 4
    LossAndGradients result;
    for (const auto& [name, x] : point) {
      result.loss += x.pow(4).sum().item<double>() / 4;
      result.gradients[name] = x.pow(3);
    }
    return result;
  };
  Weights none, memory;
  const PolicyStep step{values, learned, cubes, memory};
  const auto pair =
      make_training_policy("sagm:rho=0.5").value.gradients({values, learned, cubes, none});
  const auto gaqat = make_training_policy("gaqat:rho=0.5,window=2").value;
  for (int i = 0; i < 2; ++i) {
    const auto found = gaqat.gradients(step);
    CHECK(torch::allclose(found.gradients.at("s"), pair.gradients.at("s")));
    CHECK(torch::allclose(found.gradients.at("w"), pair.gradients.at("w")));
  }
  const auto frozen = gaqat.gradients(step);
  CHECK(torch::allclose(frozen.gradients.at("s"),
                        2 * pair.gradients.at("s") - values.at("s").pow(3)));
  CHECK(torch::allclose(frozen.gradients.at("w"), pair.gradients.at("w")));
  CHECK(frozen.loss == pair.loss);
  CHECK(none.empty());
}

TEST_CASE("a policy says itself in full, and an unknown one is refused") {
  CHECK(make_training_policy("sagm").text == "sagm:rho=0.05,alpha=0.001");
  CHECK_THROWS_AS(make_training_policy("sam"), Error);
  CHECK_THROWS_AS(make_training_policy("sagm:rho=-1"), Error);
  CHECK_THROWS_AS(make_training_policy("sagm:steps=3"), Error);
  CHECK_THROWS_AS(make_training_policy("gaqat:window=1"), Error);
  CHECK_THROWS_AS(make_training_policy("gaqat:threshold=1.5"), Error);
}

}  // namespace
}  // namespace karat
