#include "tuner/shared/accumulator.h"

#include <doctest/doctest.h>

namespace karat {
namespace {

TEST_CASE("the bound is half a row's |q| times the width of the inputs") {
  CHECK(accumulator_bound(16, 8) == doctest::Approx(65534.0 / 255));
  CHECK(accumulator_bound(9, 4) == doctest::Approx(34));  // ½ · 34 · 15 = 255 = 2^8 − 1
}

TEST_CASE("projection: the nearest rows of mean 0 in the ball") {
  torch::manual_seed(7);
  const auto v = zero_centred(torch::randn({5, 40}, torch::kFloat64));
  const auto radius = v.abs().sum(-1, true) * 0.3;
  const auto p = project_to_ball(v, radius);
  CHECK(torch::allclose(p.abs().sum(-1, true), radius));
  CHECK(p.mean(-1).abs().max().item<double>() < 1e-12);
  // No other point of the set is nearer: (v − p) · (y − p) ≤ 0 for all of it.
  for (int i = 0; i < 200; ++i) {
    auto y = zero_centred(torch::randn({5, 40}, torch::kFloat64).pow(3));
    y = y * radius / y.abs().sum(-1, true);
    CHECK(((v - p) * (y - p)).sum(-1).max().item<double>() < 1e-9);
  }
  CHECK(torch::allclose(project_to_ball(v, radius * 10), v));
  // Nearer than what rescaling to the same sum gives.
  CHECK((v - p).norm().item<double>() < (v - v * 0.3).norm().item<double>());
}

TEST_CASE("rounding toward zero: straight through, and the cap takes the norm's gradient") {
  torch::manual_seed(8);
  const BoundedRows rows{.bits = 4, .bound = 30};
  const auto weight = torch::randn({6, 32}, torch::kFloat64).requires_grad_();
  const auto v = zero_centred(weight.detach());
  const auto step = rows.first_steps(v).requires_grad_();
  const auto full = v.abs().sum(-1, true);
  for (const bool capped : {true, false}) {
    const auto norm =
        (capped ? full * 9 : torch::minimum(full, step.detach() * 29)).requires_grad_();
    const auto y = rows.rounded(weight, norm, step);
    const auto q = (y / step).detach();
    CHECK((q - q.round()).abs().max().item<double>() < 1e-9);
    CHECK(q.clamp_min(0).sum(-1).max().item<double>() <= 15);
    CHECK((-q).clamp_min(0).sum(-1).max().item<double>() <= 15);
    const auto above = torch::randn_like(y);
    const auto grads = torch::autograd::grad({y}, {weight, norm, step}, {above});
    CHECK((grads[1].abs().max().item<double>() == 0) == capped);
    // The smooth surrogate without rounding and clipping has the same derivative in the weight
    // where nothing is clipped.
    const auto smooth = [&](const torch::Tensor& w) {
      const auto c = zero_centred(w);
      const auto g = torch::min(norm, step * (30 * (1 - 1e-5)));
      return (c * g / c.abs().sum(-1, true) * (q.abs() < 7) * above).sum();
    };
    const auto reference =
        torch::autograd::grad({smooth(weight)}, {weight}, {}, {}, false, /*allow_unused=*/true)[0];
    if (q.abs().max().item<double>() < 7) CHECK(torch::allclose(grads[0], reference, 1e-9, 1e-9));
    CHECK(grads[2].isfinite().all().item<bool>());
  }
}

}  // namespace
}  // namespace karat
