#include <doctest/doctest.h>

#include <cmath>

#include "karat/error.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/gaussian_grid.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {

/// A layer of 24 × 128 with its weight and inputs as double leaves, and what a quantizer learns.
struct LoneLayer {
  Linear linear;
  torch::Tensor weight, x;
  Weights learned;

  explicit LoneLayer(const TrainingQuantizer& quantizer) {
    linear.name = "layer";
    linear.in = 128;
    linear.out = 24;
    torch::manual_seed(11);
    weight = torch::randn({24, 128}, torch::kFloat64) * 0.05;
    if (quantizer.start) weight = quantizer.start(linear, weight);
    weight.requires_grad_();
    x = torch::randn({10, 128}, torch::kFloat64).requires_grad_();
    if (quantizer.learned) learned = quantizer.learned(linear, weight.detach(), x.detach());
    for (auto& [name, tensor] : learned) tensor.requires_grad_();
  }
  Operands operands(const TrainingQuantizer& quantizer) const {
    return quantizer.operands(linear, learned, weight, x);
  }
  torch::Tensor product(const TrainingQuantizer& quantizer) const {
    const Operands both = operands(quantizer);
    return both.x.mm(both.weight.t());
  }
};

TrainingQuantizer make(const std::string& text) {
  return make_training_quantizer(text).value;
}

double error_of(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST_CASE("every quantizer: eight bits are close, fewer less so, and gradients reach all leaves") {
  for (const auto& [name, factory] : training_quantizer_table()) {
    CAPTURE(name);
    double before = 0;
    for (const int bits : {8, 4, 2}) {
      const TrainingQuantizer quantizer =
          make(name + ":weights=" + std::to_string(bits) + ",activations=" + std::to_string(bits));
      LoneLayer layer(quantizer);
      const auto y = layer.product(quantizer);
      const double error = error_of(y, layer.x.mm(layer.weight.t()));
      CHECK(error > before);
      if (bits == 8) CHECK(error < 0.04);
      before = error;
      CHECK(torch::equal(y, layer.product(quantizer)));  // no state
      std::vector<torch::Tensor> leaves = {layer.weight, layer.x};
      for (const auto& [key, tensor] : layer.learned) leaves.push_back(tensor);
      for (const auto& gradient : torch::autograd::grad({y.square().sum()}, leaves)) {
        CHECK(gradient.isfinite().all().item<bool>());
        if (bits < 8) CHECK(gradient.norm().item<double>() > 0);  // PACT clips nothing at 8
      }
    }
    for (const char* one : {"weights", "activations"}) {  // the other operand is left alone
      const TrainingQuantizer quantizer = make(name + ":" + one + "=16");
      LoneLayer layer(quantizer);
      const Operands both = layer.operands(quantizer);
      const bool weights = std::string(one) == "weights";
      CHECK(torch::equal(weights ? both.weight : both.x, weights ? layer.weight : layer.x));
      CHECK(error_of(weights ? both.x : both.weight, weights ? layer.x : layer.weight) > 0.01);
    }
    const NamedQuantizer named = make_training_quantizer(name);
    CHECK_FALSE(named.value.summary.empty());
    CHECK(make_training_quantizer(named.text).text == named.text);
  }
}

TEST_CASE("QuEST's gradients are those of the paper's formulas") {
  const TrainingQuantizer quest = make("quest:weights=3,activations=2");
  LoneLayer layer(quest);
  const auto h = hadamard_matrix(128);
  const auto x = round_gaussian(layer.x.detach().mm(h), gaussian_grid(2));
  const auto w = round_gaussian(layer.weight.detach().mm(h), gaussian_grid(3));
  const auto y = layer.product(quest);
  CHECK(torch::allclose(y, x.value.mm(w.value.t()), 1e-9, 1e-9));
  const auto above = torch::randn_like(y);
  const auto grads = torch::autograd::grad({y}, {layer.x, layer.weight}, {above});
  CHECK(torch::allclose(grads[0], (above.mm(w.value) * x.trusted).mm(h), 1e-9, 1e-9));
  CHECK(torch::allclose(grads[1], (above.t().mm(x.value) * w.trusted).mm(h), 1e-9, 1e-9));
  CHECK_FALSE(x.trusted.all().item<bool>());
}

TEST_CASE("QuEST: one bit, weights alone, no Hadamard, E2M1, 4:8") {
  const auto h = hadamard_matrix(128);
  const TrainingQuantizer one = make("quest:weights=1,activations=16");
  LoneLayer layer(one);
  const auto turned = layer.weight.detach().mm(h);
  const auto sigma = turned.square().mean(-1, true).sqrt();
  const auto sign = torch::where(turned >= 0, 1.0, -1.0) * sigma * std::sqrt(2 / 3.14159265358979);
  CHECK(torch::allclose(layer.operands(one).weight, sign.mm(h), 1e-6, 1e-8));
  const auto reached = [&](const std::string& text, const torch::Tensor& basis) {
    // Which entries pass a gradient, in the basis in which they are rounded.
    const auto out = layer.operands(make(text)).weight;
    const auto g = torch::randn_like(out);
    const auto back = torch::autograd::grad({out}, {layer.weight}, {g})[0];
    return back.mm(basis).abs() > 1e-12;
  };
  const auto none = torch::eye(128, torch::kFloat64);
  const double clip = gaussian_grid(1).clip;
  const auto within = [&](const torch::Tensor& v, double reach) {
    return v.abs() <= v.square().mean(-1, true).sqrt() * reach;
  };
  const std::string bits = "weights=1,activations=16";
  CHECK(torch::equal(reached("quest:" + bits, h), within(turned, 1.3 * clip)));
  CHECK(torch::equal(reached("quest:trust=1.1," + bits, h), within(turned, 1.1 * clip)));
  CHECK(torch::equal(reached("quest:hadamard=0," + bits, none),
                     within(layer.weight.detach(), 1.25 * clip)));
  const auto fp4 = layer.operands(make("quest:weights=4,activations=16,grid=e2m1")).weight;
  CHECK(torch::allclose(fp4, round_gaussian(turned, gaussian_e2m1_grid()).value.mm(h)));
  const Operands sparse = layer.operands(make("quest:sparse=1"));
  CHECK((sparse.weight == 0).sum().item<std::int64_t>() == 24 * 64);
  CHECK((sparse.x == 0).sum().item<std::int64_t>() == 0);
}

TEST_CASE("absmax: the largest entry of a row stays, and QuaRot is the same in another basis") {
  const TrainingQuantizer ste = make("ste:weights=3,activations=16");
  LoneLayer layer(ste);
  const auto rounded = layer.operands(ste).weight.detach(), weight = layer.weight.detach();
  CHECK(torch::allclose(rounded.abs().amax(-1), weight.abs().amax(-1), 1e-5, 1e-7));
  const auto step = weight.abs().amax(-1, true) * 2 / 7;
  CHECK(((rounded - weight).abs() <= step / 2 + 1e-7).all().item<bool>());
  const auto h = hadamard_matrix(128);
  CHECK(torch::allclose(layer.operands(make("quarot:weights=3,activations=16")).weight,
                        round_absmax(weight.mm(h), 3).mm(h), 1e-9, 1e-9));
}

TEST_CASE("learned steps start where a Gaussian is rounded best, and by LSQ's rule with a zero") {
  const TrainingQuantizer lsq = make("lsq:weights=1,activations=3,rows=1");
  const LoneLayer layer(lsq);
  const auto& weight_step = layer.learned.at("layer.weight_step");
  CHECK(weight_step.sizes() == torch::IntArrayRef({24, 1}));
  CHECK(torch::allclose(weight_step,
                        layer.weight.square().mean(-1, true).sqrt() * 2 * gaussian_grid(1).clip));
  CHECK(layer.learned.at("layer.input_step").item<double>() ==
        doctest::Approx(layer.x.square().mean().sqrt().item<double>() * 2 *
                        gaussian_grid(3).half_gap));
  const LoneLayer zero(make("lsq:weights=3,activations=16,zero=1"));
  CHECK(zero.learned.size() == 1);
  CHECK(zero.learned.at("layer.weight_step").item<double>() ==
        doctest::Approx(2 * zero.weight.abs().mean().item<double>() / std::sqrt(3.0)));
}

/// The integers of a layer's weight, [out, in] F64.
torch::Tensor integers_of(const LoneLayer& layer, const TrainingQuantizer& quantizer) {
  const auto both = layer.operands(quantizer);
  const auto q = both.weight.detach() / layer.learned.at("layer.weight_step").detach();
  CHECK((q - q.round()).abs().max().item<double>() < 1e-9);
  return q.round();
}

TEST_CASE("A2Q+: no input overflows the accumulator, and some would overflow one bit less") {
  constexpr int kInputBits = 4;
  const std::int64_t low = -(1 << (kInputBits - 1)), high = -low - 1;
  for (const int accumulator : {9, 11, 13}) {
    const TrainingQuantizer quantizer =
        make("a2qplus:weights=4,activations=4,accumulator=" + std::to_string(accumulator));
    LoneLayer layer(quantizer);
    const std::int64_t limit = std::int64_t{1} << (accumulator - 1);  // −limit … limit − 1
    std::int64_t widest = 0;
    const auto add_up = [&](const torch::Tensor& q) {
      for (std::int64_t row = 0; row < q.size(0); ++row)
        for (const bool upward : {true, false}) {  // the worst inputs, in the order of the row
          std::int64_t sum = 0;
          for (std::int64_t i = 0; i < q.size(1); ++i) {
            const auto weight = static_cast<std::int64_t>(q[row][i].item<double>());
            sum += weight * ((weight > 0) == upward ? high : low);
            CHECK(sum >= -limit);
            CHECK(sum < limit);
          }
          widest = std::max(widest, std::abs(sum));
        }
    };
    add_up(integers_of(layer, quantizer));
    CHECK(widest > limit / 2);  // a bit less would not do
    // Whatever is learned: norms far above the bound, other steps, another weight.
    for (auto& [name, value] : layer.learned)
      value = value.detach() * (name.ends_with("norm") ? 50 : 0.6);
    layer.weight = torch::randn({24, 128}, torch::kFloat64) + 0.5;
    add_up(integers_of(layer, quantizer));
  }
}

TEST_CASE("what cannot be is refused") {
  for (const char* text : {"",
                           "qest",
                           "quest:weights=0",
                           "quest:weights=9",
                           "quest:weights=17",
                           "quest:bits=4",
                           "quest:weights=16,activations=16",
                           "quest:hadamard=100",
                           "quest:hadamard=1",
                           "quarot:hadamard=0",
                           "quest:grid=trellis",
                           "quest:grid=e2m1,weights=3",
                           "quest:sparse=1,weights=16",
                           "quest:trust=-1",
                           "lsq:weights=1,zero=1",
                           "ste:hadamard=128",
                           "lsq:decay=-1",
                           "pact:weights=four",
                           "a2qplus:weights=1",
                           "a2qplus:activations=1",
                           "a2qplus:accumulator=16,activations=16",
                           "a2qplus:accumulator=16,weights=16",
                           "a2qplus:accumulator=4",
                           "a2qplus:accumulator=33",
                           "a2qplus:weights=16,activations=16"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(make_training_quantizer(text), Error);
  }
  Linear linear;
  linear.name = "narrow";
  linear.in = 192;
  CHECK_THROWS_AS(make("quest").check(linear), Error);
  CHECK_THROWS_AS(make("quarot").check(linear), Error);
  make("quest:hadamard=64,sparse=1").check(linear);
  linear.in = 12;
  CHECK_THROWS_AS(make("quest:hadamard=4,sparse=1").check(linear), Error);
}

}  // namespace
}  // namespace karat
