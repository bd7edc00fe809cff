#include <doctest/doctest.h>

#include <cmath>

#include "core/threads.h"
#include "karat/error.h"
#include "tuner/shared/training_optimizer.h"

namespace karat {
namespace {

/// Weights and an optimizer of them.
struct Descent {
  NamedOptimizer optimizer;
  OptimizerScene scene;
  Weights weights, state;
  std::int64_t number = 0;

  Descent(const std::string& text, Weights first, OptimizerScene given = {})
      : optimizer(make_training_optimizer(text)), scene(std::move(given)) {
    scene.options.beta1 = scene.options.beta1.value_or(optimizer.value.beta1);
    scene.options.beta2 = scene.options.beta2.value_or(optimizer.value.beta2);
    for (const auto& [name, tensor] : first) weights[name] = tensor.clone();
    state = optimizer.value.begin(scene, weights);
  }
  void step(const Weights& gradients, double lr) {
    optimizer.value.update({scene, gradients, lr, number++}, weights, state);
  }
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const auto& [name, tensor] : state) sum += static_cast<std::int64_t>(tensor.nbytes());
    return sum;
  }
};

Weights noise(std::uint64_t seed, std::int64_t rows, std::int64_t columns) {
  torch::manual_seed(seed);
  return {{"bias", torch::randn({columns})}, {"matrix", torch::randn({rows, columns})}};
}

/// The lattice of row maxima at four bits, for "matrix".
OptimizerScene on_rows(std::int64_t bits = 4) {
  OptimizerScene scene;
  scene.options.weight_decay = 0;
  scene.lattice = absmax_lattice(bits, 16, 0);
  scene.layers = {"matrix"};
  return scene;
}

TEST_CASE("adamw of the slot is AdamW, with rules of its own for what is learned") {
  OptimizerScene scene;
  scene.rules = {{"bias", {.rate = 0.5, .decay = 0.1, .least = -0.2}}};
  Descent slot("adamw", noise(1, 8, 16), scene);
  Weights weights = noise(1, 8, 16);
  AdamW plain(scene.options, weights, scene.rules);
  for (std::uint64_t i = 0; i < 5; ++i) {
    const Weights gradients = noise(10 + i, 8, 16);
    slot.step(gradients, 0.01);
    plain.update(weights, gradients, 0.01, static_cast<std::int64_t>(i));
  }
  for (const auto& [name, weight] : weights) CHECK(torch::equal(weight, slot.weights.at(name)));
  CHECK(slot.bytes() == 2 * 4 * (8 * 16 + 16));
}

TEST_CASE("SOLO: 4 and 2 bits a weight and two numbers a block; small tensors stay as they are") {
  Descent solo("solo", noise(1, 64, 128));
  constexpr std::int64_t kWeights = 64 * 128, kBlocks = kWeights / 128;
  const auto expected = kWeights / 2 + kWeights / 4 + kBlocks * (4 + 8) + 2 * 4 * 128;
  CHECK(solo.bytes() == expected);
  CHECK(solo.state.at("first.matrix").nbytes() == 64 * 128 / 2);
  CHECK(solo.state.at("first.bias").nbytes() == 4 * 128);
  solo.step(noise(2, 64, 128), 0.01);
  CHECK(solo.bytes() == expected);
  CHECK(solo.scene.options.beta1 == 0.8);
  CHECK(solo.scene.options.beta2 == 0.999);
  // The first step sees no rounding yet: it is AdamW's.
  Descent plain("adamw", noise(1, 64, 128), solo.scene);
  plain.step(noise(2, 64, 128), 0.01);
  CHECK(torch::equal(plain.weights.at("matrix"), solo.weights.at("matrix")));
}

/// Mean square distance from `target` after noisy steps towards it.
double distance_after(Descent& descent, const torch::Tensor& target, int steps, double lr) {
  for (int i = 0; i < steps; ++i) {
    torch::manual_seed(static_cast<std::uint64_t>(1000 + i));
    const auto& matrix = descent.weights.at("matrix");
    const auto gradient = matrix - target + 0.3 * torch::randn_like(target);
    descent.step({{"bias", torch::zeros_like(descent.weights.at("bias"))}, {"matrix", gradient}},
                 lr * (1 - 0.9 * i / steps));
  }
  return (descent.weights.at("matrix") - target).square().mean().item<double>();
}

TEST_CASE("SOLO comes near what AdamW reaches, and nearest rounding does not") {
  const auto target = noise(3, 32, 128).at("matrix");
  const auto run = [&](const char* text) {
    Descent descent(text, noise(4, 32, 128));
    descent.scene.options.weight_decay = 0;
    return distance_after(descent, target, 600, 0.02);
  };
  const double plain = run("adamw"), solo = run("solo:least=1"),
               nearest = run("solo:least=1,rounding=nearest");
  MESSAGE("mean square distance: adamw ", plain, ", solo ", solo, ", nearest ", nearest);
  CHECK(solo < 0.02);
  CHECK(solo < nearest);
}

TEST_CASE("draws follow from seed, step and name: the same bits for any number of threads") {
  const auto run = [](int threads, std::uint64_t seed, const char* text) {
    const ThreadScope scope(threads);
    OptimizerScene scene = on_rows();
    scene.seed = seed;
    Descent descent(text, noise(5, 32, 128), scene);
    for (std::uint64_t i = 0; i < 4; ++i) descent.step(noise(20 + i, 32, 128), 0.05);
    return descent.weights.at("matrix");
  };
  for (const char* text : {"solo:least=1", "eco:rounding=stochastic"}) {
    CAPTURE(text);
    CHECK(torch::equal(run(1, 7, text), run(3, 7, text)));
    CHECK_FALSE(torch::equal(run(1, 7, text), run(1, 8, text)));
  }
}

TEST_CASE("ECO: what rounding took from a step returns whole, Σ β^k (1 − β) / β = 1") {
  Descent eco("eco", noise(6, 8, 64), on_rows());
  Descent plain("adamw", eco.weights, eco.scene);  // from the rounded weights
  eco.number = plain.number = 3000;                // the first moment's correction is over
  const Weights gradients = noise(7, 8, 64);
  eco.step(gradients, 0.01);
  plain.step(gradients, 0.01);
  const auto error = plain.weights.at("matrix") - eco.weights.at("matrix");
  CHECK(error.abs().max().item<double>() > 1e-3);
  const auto taken = eco.state.at("first.matrix") - plain.state.at("first.matrix");
  const double beta1 = *eco.scene.options.beta1;
  const AdamWStep at = adamw_step(eco.scene.options, {}, "matrix", error, 0.01, 3000);
  const auto size = at.size(eco.state.at("second.matrix"));
  auto returned = torch::zeros_like(error);
  for (int k = 1; k <= 400; ++k) returned += -0.01 * std::pow(beta1, k) * taken / size;
  CHECK(torch::allclose(returned, error, 1e-3, 1e-5));
  CHECK(torch::equal(eco.weights.at("bias"), plain.weights.at("bias")));
}

TEST_CASE("ECO goes where steps below half a level would otherwise be lost") {
  auto start = noise(8, 16, 64);
  const auto target = noise(9, 16, 64).at("matrix");
  const auto run = [&](const char* text) {
    Descent descent(text, start, on_rows(8));
    return distance_after(descent, target, 1500, 0.004);
  };
  const double eco = run("eco"), drawn = run("eco:rounding=stochastic"), lost = run("eco:carry=0");
  Descent master("adamw", start, on_rows(8));
  const double exact = distance_after(master, target, 1500, 0.004);
  MESSAGE("mean square distance: float32 ", exact, ", eco ", eco, ", drawn ", drawn, ", lost ",
          lost);
  CHECK(eco < 0.02);
  CHECK(drawn < 0.01);
  CHECK(lost > 10 * eco);
}

TEST_CASE("ECO's weights are the lattice's, and its state holds them in the lattice's bits") {
  OptimizerScene scene = on_rows(3);
  scene.lattice.hadamard = 16;
  Descent eco("eco", noise(2, 16, 64), scene);
  for (int i = 0; i < 3; ++i) {
    const auto& matrix = eco.weights.at("matrix");
    const auto& steps = eco.state.at("steps.matrix");
    const auto levels = scene.lattice.turned(matrix) / steps - 0.5;
    CHECK((levels - levels.round()).abs().max().item<double>() < 1e-4);
    CHECK(levels.round().max().item<double>() == 3);
    CHECK(eco.state.at("codes.matrix").numel() == 16 * 64 * 3 / 8);
    CHECK(torch::equal(eco.optimizer.value.held(eco.scene, eco.state).at("matrix"), matrix));
    eco.step(noise(30 + static_cast<std::uint64_t>(i), 16, 64), 0.02);
  }
  CHECK(eco.bytes() == 2 * 4 * (16 * 64 + 64) + 16 * 64 * 3 / 8 + 16 * 4);
}

TEST_CASE("an optimizer says itself in full, and an unknown one is refused") {
  CHECK(make_training_optimizer("adamw").text == "adamw");
  CHECK(make_training_optimizer("solo").text ==
        "solo:first=4,second=2,quantile=0.1,least=4096,rounding=stochastic");
  CHECK(make_training_optimizer("eco").text == "eco:carry=1,rounding=nearest");
  for (const char* text : {"adam", "adamw:beta1=0.5", "solo:first=1", "solo:second=9",
                           "solo:quantile=0.6", "solo:rounding=up", "eco:carry=2"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(make_training_optimizer(text), Error);
  }
}

}  // namespace
}  // namespace karat
