#include "tuner/shared/learned_steps.h"

#include <cmath>

#include "karat/error.h"
#include "tuner/shared/gaussian_grid.h"

namespace karat {
namespace {

struct LearnedSteps {
  OperandBits bits;
  bool with_zero = false, per_row = false;
};

std::string step_name(const Linear& layer, bool weights) {
  return layer.name + (weights ? ".weight_step" : ".input_step");
}

/// [1, 1], or [rows, 1] with `per_row`, above 0.
torch::Tensor first_step(const torch::Tensor& v, std::int64_t bits, bool with_zero, bool per_row) {
  const auto rows = per_row ? v : v.reshape({1, -1});
  const auto step =
      with_zero ? rows.abs().mean(-1, true) * (2 / std::sqrt(signed_levels(bits, true).top()))
                : rows.square().mean(-1, true).sqrt() * (2 * gaussian_grid(bits).half_gap);
  return step.clamp_min(1e-8).contiguous();
}

void check_zero(const LearnedSteps& steps, const std::string& name) {
  for (const std::int64_t bits : {steps.bits.weights, steps.bits.activations})
    if (steps.with_zero && bits == 1)
      fail("quantizer " + name, "zero=1 at 1 bit", "2 bits or more beside a zero");
}

}  // namespace

TrainingQuantizer learned_step_training(Options& options, const std::string& name, StepRule rule,
                                        std::string summary) {
  LearnedSteps steps;
  steps.bits = operand_bits(options);
  steps.with_zero = options.flag("zero", false, "1: levels with a zero, one less above it");
  steps.per_row = options.flag("rows", false, "1: a step for each row of weights; 0: for all");
  const double decay = options.number("decay", 0.1, 0, 10, "weight decay of the steps");
  check_zero(steps, name);
  const auto round = [steps, rule](const Linear& layer, const Weights& leaves, bool weights,
                                   const torch::Tensor& v) {
    const std::int64_t bits = weights ? steps.bits.weights : steps.bits.activations;
    if (bits == 16) return v;
    return rule(v, leaves.at(step_name(layer, weights)), signed_levels(bits, steps.with_zero));
  };
  return {.summary = std::move(summary),
          .learned =
              [steps](const Linear& layer, const torch::Tensor& weight, const torch::Tensor& x) {
                Weights learned;
                const auto& [weights, activations] = steps.bits;
                if (weights < 16)
                  learned[step_name(layer, true)] =
                      first_step(weight, weights, steps.with_zero, steps.per_row);
                if (activations < 16)
                  learned[step_name(layer, false)] =
                      first_step(x, activations, steps.with_zero, false);
                return learned;
              },
          .decay = decay,
          .operands =
              [round](const Linear& layer, const Weights& leaves, const torch::Tensor& weight,
                      const torch::Tensor& x) {
                return Operands{round(layer, leaves, false, x), round(layer, leaves, true, weight)};
              }};
}

}  // namespace karat
