// ECO (arXiv 2601.22101): no weights but the quantized ones. What rounding takes from a step goes
// into the momentum, which gives it back over the steps that follow.
#include "karat/error.h"
#include "tuner/shared/state_codes.h"
#include "tuner/shared/training_optimizer.h"

namespace karat {
namespace {

struct Eco {
  bool carry = true;
  StateRounding rounding = StateRounding::nearest;
};

/// [rows, n] in [0, 1).
torch::Tensor uniform_draws(Rng rng, const torch::Tensor& like) {
  auto draws = torch::empty(like.sizes());
  auto* values = draws.data_ptr<float>();
  for (std::int64_t i = 0; i < draws.numel(); ++i)
    values[i] = static_cast<float>(rng.next() >> 40) * 0x1p-24f;
  return draws;
}

/// Codes and steps of `weight` as the state has them.
void keep_weight(const WeightLattice& lattice, const std::string& name, const torch::Tensor& weight,
                 const std::function<torch::Tensor(const torch::Tensor& rows)>& draws,
                 Weights& state) {
  const auto rows = lattice.turned(weight);
  const auto steps = lattice.steps(rows).contiguous();
  const auto codes = lattice.codes(rows, steps, draws ? draws(rows) : torch::Tensor()).contiguous();
  const std::span bytes(codes.data_ptr<std::uint8_t>(), static_cast<std::size_t>(codes.numel()));
  // With the entries that begin_eco made, threads fill a map whose shape stays.
  state["codes." + name] = packed_codes(bytes, static_cast<int>(lattice.bits));
  state["steps." + name] = steps;
}

/// The weight [out, in] that the state holds, from `columns` a row.
torch::Tensor kept_weight(const WeightLattice& lattice, const torch::Tensor& codes,
                          const torch::Tensor& steps, std::int64_t columns) {
  auto values = unpacked_codes(codes, steps.size(0) * columns, static_cast<int>(lattice.bits));
  const auto bytes = torch::from_blob(values.data(), {steps.size(0), columns}, torch::kUInt8);
  return lattice.weight(bytes, steps);
}

Weights begin_eco(const OptimizerScene& scene, Weights& weights) {
  const torch::NoGradGuard no_grad;
  Weights state = zero_moments(weights);
  for (const std::string& name : scene.layers) {
    const torch::Tensor weight = weights.at(name).detach();
    keep_weight(scene.lattice, name, weight, {}, state);
    weight.copy_(kept_weight(scene.lattice, state.at("codes." + name), state.at("steps." + name),
                             weight.size(1)));
  }
  return state;
}

/// Rounds a weight that has moved. The error e returns as Σ_k β^k (1 − β) / β · e = e of the steps
/// k = 1, 2, … that follow.
void round_weight(const Eco& eco, const OptimizerStep& step, const AdamWStep& at,
                  const std::string& name, const torch::Tensor& weight, const torch::Tensor& size,
                  Weights& state) {
  const OptimizerScene& scene = step.scene;
  std::function<torch::Tensor(const torch::Tensor&)> draws;
  if (eco.rounding == StateRounding::stochastic)
    draws = [&](const torch::Tensor& rows) { return uniform_draws(draws_of(step, name), rows); };
  keep_weight(scene.lattice, name, weight, draws, state);
  const auto rounded = kept_weight(scene.lattice, state.at("codes." + name),
                                   state.at("steps." + name), weight.size(1));
  if (eco.carry && at.beta1 > 0)
    state.at("first." + name)
        .add_((weight - rounded).mul_(size), at.first_size / at.lr * (1 - 1 / at.beta1));
  weight.copy_(rounded);
}

void update_eco(const Eco& eco, const OptimizerStep& step, Weights& weights, Weights& state) {
  const OptimizerScene& scene = step.scene;
  for_each_tensor(weights, [&](const std::string& name, torch::Tensor& leaf) {
    const torch::Tensor weight = leaf.detach();
    const AdamWStep at = adamw_step(scene.options, scene.rules, name, weight, step.lr, step.number);
    torch::Tensor& m = state.at("first." + name);
    torch::Tensor& v = state.at("second." + name);
    at.remember(step.gradients.at(name), m, v);
    const torch::Tensor size = at.size(v);
    at.move(weight, m, size);
    if (scene.layers.contains(name)) round_weight(eco, step, at, name, weight, size, state);
  });
}

}  // namespace

TrainingOptimizer eco_optimizer(Options& options) {
  Eco eco;
  eco.carry = options.flag("carry", true, "0: what rounding takes is lost");
  eco.rounding = state_rounding(options, StateRounding::nearest, "of the weights");
  return {.summary = "no weights but the quantized ones (arXiv 2601.22101)",
          .needs_lattice = true,
          .cpu_only = true,
          .begin = begin_eco,
          .update = [eco](const OptimizerStep& step, Weights& weights,
                          Weights& state) { update_eco(eco, step, weights, state); },
          .held =
              [](const OptimizerScene& scene, const Weights& state) {
                Weights weights;
                for (const std::string& name : scene.layers)
                  weights[name] =
                      kept_weight(scene.lattice, state.at("codes." + name),
                                  state.at("steps." + name), state.at("first." + name).size(1));
                return weights;
              },
          .beside =
              [](const Weights& state) {
                Weights steps;
                const std::string prefix = "steps.", suffix = ".weight";
                for (const auto& [key, tensor] : state)
                  if (key.starts_with(prefix))
                    steps[key.substr(prefix.size(), key.size() - prefix.size() - suffix.size()) +
                          ".weight_step"] = tensor;
                return steps;
              }};
}

}  // namespace karat
