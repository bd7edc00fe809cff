#include "tuner/shared/sagm.h"

#include <doctest/doctest.h>

namespace karat {
namespace {

/// L = Σ (a θ⁴ / 4 + b θ² / 2), whose gradient is a θ³ + b θ.
Weights slope(const Weights& leaves) {
  Weights gradients;
  for (const auto& [name, leaf] : leaves) gradients[name] = leaf.pow(3) * 0.5 + leaf * 2;
  return gradients;
}

TEST_CASE("the second gradient is that of the point up the slope, and the leaves come back") {
  Weights leaves{{"s", torch::tensor({0.5}, torch::kFloat64)},
                 {"w", torch::tensor({1.0, -2.0, 3.0}, torch::kFloat64)}};
  const auto before = leaves.at("w").clone();
  const SagmOptions options{.rho = 0.3, .alpha = 0.01};
  const GradientPair pair = sagm_pair(leaves, options, {}, [&] { return slope(leaves); });
  const Weights g = slope(leaves);
  const double norm =
      std::sqrt((g.at("s").square().sum() + g.at("w").square().sum()).item<double>());
  Weights moved;
  for (const auto& [name, leaf] : leaves) moved[name] = leaf + (0.3 / norm - 0.01) * g.at(name);
  CHECK(torch::equal(leaves.at("w"), before));
  CHECK(torch::equal(pair.task.at("w"), g.at("w")));
  for (const auto& [name, expected] : slope(moved))
    CHECK(torch::allclose(pair.smooth.at(name), expected, 1e-10, 1e-12));
}

TEST_CASE("what must stay positive keeps a tenth of itself") {
  Weights leaves{{"s", torch::tensor({0.5}, torch::kFloat64)}};
  double seen = 0;
  int calls = 0;
  sagm_pair(leaves, {.rho = 0.05, .alpha = 100}, {"s"}, [&] {
    if (++calls == 2) seen = leaves.at("s").item<double>();
    return slope(leaves);
  });
  CHECK(seen == doctest::Approx(0.05));
  CHECK(leaves.at("s").item<double>() == 0.5);
}

TEST_CASE("leaves come back when a gradient throws") {
  Weights leaves{{"s", torch::tensor({0.5}, torch::kFloat64)}};
  int calls = 0;
  const auto throwing = [&]() -> Weights {
    if (++calls == 2) throw std::runtime_error("no");
    return slope(leaves);
  };
  CHECK_THROWS_AS(sagm_pair(leaves, {}, {}, throwing), std::runtime_error);
  CHECK(leaves.at("s").item<double>() == 0.5);
}

}  // namespace
}  // namespace karat
