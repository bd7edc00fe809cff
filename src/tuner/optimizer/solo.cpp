// SOLO (Xu et al. 2025, arXiv 2505.00347): AdamW whose first moment has 4 bits a weight and whose
// second moment has 2 between steps.
#include "karat/error.h"
#include "tuner/shared/state_codes.h"
#include "tuner/shared/training_optimizer.h"

namespace karat {
namespace {

struct Solo {
  int first = 4, second = 2;
  double quantile = 0.1;
  std::int64_t least = 4096;
  StateRounding rounding = StateRounding::stochastic;

  bool coded(const OptimizerScene& scene, const std::string& name, const torch::Tensor& t) const {
    return t.numel() >= least && !scene.rules.contains(name);
  }
};

void keep_codes(Weights& state, const std::string& moment, const StateCodes& coded) {
  state.at(moment) = coded.codes;
  state.at("stats." + moment) = coded.stats;
}

Weights begin_solo(const Solo& solo, const OptimizerScene& scene, const Weights& weights) {
  Weights state;
  for (const auto& [name, leaf] : weights) {
    const std::string first = "first." + name, second = "second." + name;
    const auto zero = torch::zeros_like(leaf.detach());
    if (!solo.coded(scene, name, leaf)) {
      state[first] = zero;
      state[second] = zero.clone();
      continue;
    }
    for (const std::string& key : {first, second, "stats." + first, "stats." + second})
      state[key] = torch::Tensor();
    keep_codes(state, first, encode_signed(zero, solo.first, StateRounding::nearest, Rng(0)));
    keep_codes(state, second,
               encode_unsigned(zero, solo.second, solo.quantile, StateRounding::nearest, Rng(0)));
  }
  return state;
}

/// The step is made of the moments before they are rounded again.
void step_coded(const Solo& solo, const OptimizerStep& step, const AdamWStep& at,
                const std::string& name, const torch::Tensor& weight, Weights& state) {
  const std::string first = "first." + name, second = "second." + name;
  auto m = decode_signed({state.at(first), state.at("stats." + first)}, solo.first, weight);
  auto v = decode_unsigned({state.at(second), state.at("stats." + second)}, solo.second, weight);
  at.remember(step.gradients.at(name), m, v);
  at.move(weight, m, at.size(v));
  keep_codes(state, first, encode_signed(m, solo.first, solo.rounding, draws_of(step, first)));
  keep_codes(state, second,
             encode_unsigned(v, solo.second, solo.quantile, solo.rounding, draws_of(step, second)));
}

void update_solo(const Solo& solo, const OptimizerStep& step, Weights& weights, Weights& state) {
  const OptimizerScene& scene = step.scene;
  for_each_tensor(weights, [&](const std::string& name, torch::Tensor& leaf) {
    const torch::Tensor weight = leaf.detach();
    const AdamWStep at = adamw_step(scene.options, scene.rules, name, weight, step.lr, step.number);
    if (solo.coded(scene, name, weight)) return step_coded(solo, step, at, name, weight, state);
    torch::Tensor& m = state.at("first." + name);
    torch::Tensor& v = state.at("second." + name);
    at.remember(step.gradients.at(name), m, v);
    at.move(weight, m, at.size(v));
  });
}

int bits_of_moment(Options& options, const std::string& key, int fallback) {
  return static_cast<int>(
      options.integer(key, fallback, 2, 8, "bits of a number of the " + key + " moment"));
}

}  // namespace

TrainingOptimizer solo_optimizer(Options& options) {
  Solo solo;
  solo.first = bits_of_moment(options, "first", 4);
  solo.second = bits_of_moment(options, "second", 2);
  solo.quantile = options.number("quantile", 0.1, 0, 0.5,
                                 "of a block's second moments, down to which its grid reaches");
  solo.least = options.integer("least", 4096, 1, std::int64_t{1} << 40,
                               "weights of a tensor below which its moments stay float32");
  solo.rounding = state_rounding(options, StateRounding::stochastic,
                                 "of the moments; nearest swallows what is small");
  return {.summary = "moments of 4 and 2 bits, betas 0.8 and 0.999 (arXiv 2505.00347)",
          .beta1 = 0.8,
          .beta2 = 0.999,
          .cpu_only = true,
          .begin = [solo](const OptimizerScene& scene,
                          Weights& weights) { return begin_solo(solo, scene, weights); },
          .update = [solo](const OptimizerStep& step, Weights& weights,
                           Weights& state) { update_solo(solo, step, weights, state); }};
}

}  // namespace karat
