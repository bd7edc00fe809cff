// Every backward rule against finite differences of the smooth function it stands for: rounding is
// taken as the constant that it is near each number.
#include "tuner/shared/estimator.h"

#include <doctest/doctest.h>

#include <functional>

#include "karat/error.h"

namespace karat {
namespace {

using Surrogate = std::function<torch::Tensor(const std::vector<torch::Tensor>&)>;

/// The gradient of Σ weights · f(inputs) in input `which`, by central differences.
torch::Tensor differences(const Surrogate& f, std::vector<torch::Tensor> inputs, std::size_t which,
                          const torch::Tensor& weights) {
  const torch::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  auto out = torch::empty_like(inputs[which]);
  const torch::Tensor at = inputs[which].detach().clone();
  for (std::int64_t i = 0; i < at.numel(); ++i) {
    double values[2];
    for (const int side : {0, 1}) {
      inputs[which] = at.clone();
      inputs[which].view(-1)[i] += side == 1 ? kStep : -kStep;
      values[side] = (f(inputs) * weights).sum().item<double>();
    }
    out.view(-1)[i] = (values[1] - values[0]) / (2 * kStep);
  }
  return out;
}

/// That `rule`'s gradients in its inputs are those of `smooth`, times `factors`.
void agree(const Surrogate& rule, const Surrogate& smooth, std::vector<torch::Tensor> inputs,
           const std::vector<double>& factors) {
  for (torch::Tensor& input : inputs) input = input.detach().clone().requires_grad_();
  const auto value = rule(inputs);
  CHECK(torch::allclose(value, smooth(inputs), 1e-12, 1e-12));
  const auto weights = torch::randn_like(value);
  const auto found = torch::autograd::grad({value}, inputs, {weights});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(i);
    const auto expected = differences(smooth, inputs, i, weights) * factors[i];
    CHECK(found[i].sizes() == inputs[i].sizes());
    CHECK((found[i] - expected).abs().max().item<double>() < 1e-7);
  }
}

/// v [6, 24] as six rows, and as [6, 3, 8] for groups; the shapes of what is shared.
torch::Tensor numbers(bool groups) {
  torch::manual_seed(3);
  const auto v = torch::randn({6, 24}, torch::kFloat64) * 2;
  return groups ? v.view({6, 3, 8}) : v;
}
std::vector<std::pair<torch::Tensor, std::vector<std::int64_t>>> granularities() {
  return {{numbers(false), {1, 1}}, {numbers(false), {6, 1}}, {numbers(true), {6, 3, 1}}};
}

/// f near the numbers it is made for: l − r is frozen there, with r in the range or out of it.
Surrogate frozen_lsq(const torch::Tensor& v, const torch::Tensor& step, const LevelRange& levels) {
  const auto r = v / step, level = nearest_levels(r, levels);
  const auto inside = (r > levels.bottom()) & (r < levels.top());
  return [=](const std::vector<torch::Tensor>& at) {
    return torch::where(inside, at[0] + at[1] * (level - r), level * at[1]);
  };
}

TEST_CASE("rounding and clipping pass what they say") {
  const auto v = torch::tensor({-1.5, -0.5, 0.2, 0.5, 1.5, 2.5}, torch::kFloat64).requires_grad_();
  const auto rounded = round_ste(v);
  CHECK(torch::equal(rounded.detach(),
                     torch::tensor({-2., 0., 0., 0., 2., 2.}, torch::kFloat64)));  // half to even
  CHECK(torch::autograd::grad({rounded}, {v}, {torch::arange(6, torch::kFloat64)})[0].equal(
      torch::arange(6, torch::kFloat64)));
  const Surrogate clip = [](const std::vector<torch::Tensor>& at) {
    return clip_between(at[0], at[1], at[2]);
  };
  const Surrogate smooth = [](const std::vector<torch::Tensor>& at) {
    return torch::min(torch::max(at[0], at[1]), at[2]);
  };
  agree(clip, smooth,
        {numbers(false), torch::full({6, 1}, -1.0, torch::kFloat64),
         torch::full({1, 1}, 0.7, torch::kFloat64)},
        {1, 1, 1});
}

TEST_CASE("a value stands for v, and its gradient passes where the mask holds") {
  const auto v = numbers(false).requires_grad_();
  const auto value = torch::zeros_like(v).requires_grad_();
  const auto mask = v.detach().abs() < 1, none = torch::Tensor();
  for (const auto& chosen : {mask, none}) {
    const auto out = pass_where(v, value, chosen);
    CHECK(out.equal(value));
    const auto grads = torch::autograd::grad({out}, {v, value}, {torch::ones_like(v)}, {}, false,
                                             /*allow_unused=*/true);
    CHECK(grads[0].equal(chosen.defined() ? chosen.to(torch::kFloat64) : torch::ones_like(v)));
    CHECK_FALSE(grads[1].defined());
  }
}

TEST_CASE("LSQ: gradients per tensor, row and group, with a zero and without, at all widths") {
  for (const bool with_zero : {false, true})
    for (const std::int64_t bits : {1, 2, 3, 4}) {
      if (with_zero && bits == 1) continue;
      const LevelRange levels = signed_levels(bits, with_zero);
      for (const auto& [v, shape] : granularities()) {
        const auto step = torch::rand(shape, torch::kFloat64) * 0.5 + 0.4;
        const double sharers = double(v.numel()) / double(step.numel());
        agree([&](const auto& at) { return lsq(at[0], at[1], levels); },
              frozen_lsq(v, step, levels), {v, step}, {1, 1 / std::sqrt(sharers * levels.top())});
      }
    }
}

TEST_CASE("LSQ: the three cases of the step's gradient by hand") {
  // Q_N = 2, Q_P = 1; v / s = 0.7, −3, 5: round(0.7) − 0.7, −2, 1; five times scaled by 1/√(1 · 1)
  const auto s = torch::full({3, 1}, 0.5, torch::kFloat64).requires_grad_();
  const auto v = torch::tensor({{0.35}, {-1.5}, {2.5}}, torch::kFloat64).requires_grad_();
  const auto out = lsq(v, s, signed_levels(2, true));
  const auto grads = torch::autograd::grad({out}, {s, v}, {torch::ones_like(out)});
  CHECK(torch::allclose(grads[0], torch::tensor({{0.3}, {-2.}, {1.}}, torch::kFloat64)));
  CHECK(grads[1].equal(torch::tensor({{1.}, {0.}, {0.}}, torch::kFloat64)));
}

TEST_CASE("PACT: the clip value learns from what it clips alone") {
  const LevelRange levels = signed_levels(3, false);
  for (const auto& [v, shape] : granularities()) {
    const auto step = torch::rand(shape, torch::kFloat64) * 0.3 + 0.2;
    const auto value = pact(v, step, levels);
    const auto clipped = v.abs() >= step * levels.top();
    REQUIRE(clipped.any().item<bool>());
    const Surrogate smooth = [=](const std::vector<torch::Tensor>& at) {
      return torch::where(clipped, v.sign() * at[1] * levels.top(), at[0] + (value - v));
    };
    agree([&](const auto& at) { return pact(at[0], at[1], levels); }, smooth, {v, step}, {1, 1});
  }
}

TEST_CASE("uniform fake-quantization: scale and zero as leaves") {
  for (const auto& [v, shape] : granularities()) {
    const auto scale = torch::rand(shape, torch::kFloat64) * 0.3 + 0.4;
    const auto zero = torch::rand(shape, torch::kFloat64) * 2 + 2.3;
    const auto place = v / scale + zero;
    const auto error = place.round() - place, q = place.round().clamp(0, 7);
    const auto inside = (place >= 0) & (place <= 7);
    REQUIRE_FALSE(inside.all().item<bool>());
    const Surrogate smooth = [=](const std::vector<torch::Tensor>& at) {
      return torch::where(inside, (at[0] / at[1] + at[2] + error - at[2]) * at[1],
                          (q - at[2]) * at[1]);
    };
    agree([](const auto& at) { return fake_uniform(at[0], at[1], at[2], 0, 7); }, smooth,
          {v, scale, zero}, {1, 1, 1});
  }
}

TEST_CASE("block Hadamard: butterflies against the matrix, its own inverse and its own backward") {
  for (const std::int64_t block : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}) {
    CAPTURE(block);
    const auto h = hadamard_matrix(block);
    CHECK(torch::allclose(h.mm(h.t()), torch::eye(block, torch::kFloat64), 1e-12, 1e-12));
    CHECK(h.equal(h.t()));
    torch::manual_seed(block);
    const auto x = torch::randn({3, 512}).requires_grad_();
    const auto wide = x.detach().to(torch::kFloat64).view({3, -1, block});
    const auto expected = wide.matmul(h).view({3, 512});
    const auto y = block_hadamard(x, block);
    CHECK(torch::allclose(y.to(torch::kFloat64), expected, 1e-5, 2e-6));
    CHECK(torch::allclose(block_hadamard(x.to(torch::kFloat64), block), expected, 1e-12, 1e-12));
    CHECK(torch::allclose(block_hadamard(y, block), x, 1e-5, 2e-6));
    const auto g = torch::randn({3, 512});
    CHECK(torch::equal(torch::autograd::grad({y}, {x}, {g})[0], block_hadamard(g, block)));
  }
  agree([](const auto& at) { return block_hadamard(at[0], 8); },
        [](const auto& at) { return block_hadamard(at[0], 8); }, {numbers(false)}, {1});
}

TEST_CASE("block Hadamard refuses what has no such transform") {
  CHECK_THROWS_AS(block_hadamard(torch::ones({2, 24}), 16), Error);
  CHECK_THROWS_AS(block_hadamard(torch::ones({2, 24}), 12), Error);
  CHECK_THROWS_AS(block_hadamard(torch::ones({2, 24}), 0), Error);
  CHECK_THROWS_AS(signed_levels(1, true), Error);
  CHECK_THROWS_AS(signed_levels(17, false), Error);
}

}  // namespace
}  // namespace karat
