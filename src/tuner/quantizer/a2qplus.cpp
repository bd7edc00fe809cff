// A2Q+ (Colbert et al., ICML 2024, arXiv 2401.10432): integer weights whose products with integer
// inputs never overflow an accumulator of the bits that are asked for.
#include "karat/error.h"
#include "tuner/shared/accumulator.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {

constexpr std::int64_t kWide = 32;  // an accumulator that no layer fills

struct A2qPlus {
  OperandBits bits;
  BoundedRows rows;
};

/// Integers −2^(bits−1) + 1 … 2^(bits−1) − 1 of each token, its largest input being the last.
torch::Tensor round_tokens(const torch::Tensor& x, std::int64_t bits) {
  const torch::NoGradGuard no_grad;
  const double top = signed_levels(bits, /*with_zero=*/true).high;
  const auto step = x.abs().amax(-1, /*keepdim=*/true) / top + 1e-8;
  return (x / step).round_().clamp_(-top, top).mul_(step);
}

A2qPlus read_a2qplus(Options& options) {
  A2qPlus chosen;
  chosen.bits = operand_bits(options);
  const std::int64_t accumulator = options.integer(
      "accumulator", kWide, 4, kWide, "bits that no dot product of a row may overflow");
  const auto& [weights, activations] = chosen.bits;
  if (weights < 2 || activations < 2)
    fail("quantizer a2qplus", "1 bit", "2 to 8 bits, or 16", "its integers have a zero");
  if (accumulator < kWide && (weights == 16 || activations == 16))
    fail("quantizer a2qplus", "accumulator=" + std::to_string(accumulator) + " with 16 bits",
         "weights and activations below 16 bits", "only integers are added up exactly");
  chosen.rows = {.bits = weights, .bound = accumulator_bound(accumulator, activations)};
  if (chosen.rows.bound < 2)
    fail("quantizer a2qplus", "accumulator=" + std::to_string(accumulator),
         "room for one weight of each sign: at least activations + 1");
  return chosen;
}

Weights learned_a2qplus(const A2qPlus& chosen, const Linear& layer, const torch::Tensor& weight) {
  if (chosen.bits.weights == 16) return {};
  const auto v = zero_centred(weight);
  return {{layer.name + ".weight_step", chosen.rows.first_steps(v).contiguous()},
          {layer.name + ".weight_norm",
           v.abs().sum(-1, /*keepdim=*/true).clamp_min(1e-8).contiguous()}};
}

torch::Tensor start_a2qplus(const A2qPlus& chosen, const torch::Tensor& weight) {
  if (chosen.bits.weights == 16) return weight;
  const auto v = zero_centred(weight);
  return project_to_ball(v, chosen.rows.first_steps(v) * chosen.rows.bound);
}

}  // namespace

TrainingQuantizer a2qplus_training(Options& options) {
  const A2qPlus chosen = read_a2qplus(options);
  const double decay = options.number("decay", 0, 0, 10, "weight decay of steps and norms");
  const auto rounded = [chosen](const Linear& layer, const Weights& leaves,
                                const torch::Tensor& weight) {
    if (chosen.bits.weights == 16) return weight;
    return chosen.rows.rounded(weight, leaves.at(layer.name + ".weight_norm"),
                               leaves.at(layer.name + ".weight_step"));
  };
  return {
      .summary = "integers whose sums fit an accumulator (arXiv 2401.10432)",
      .learned = [chosen](const Linear& layer, const torch::Tensor& weight,
                          const torch::Tensor&) { return learned_a2qplus(chosen, layer, weight); },
      .decay = decay,
      .start = [chosen](const Linear&,
                        const torch::Tensor& weight) { return start_a2qplus(chosen, weight); },
      .operands =
          [chosen, rounded](const Linear& layer, const Weights& leaves, const torch::Tensor& weight,
                            const torch::Tensor& x) {
            const std::int64_t bits = chosen.bits.activations;
            return Operands{bits == 16 ? x : pass_where(x, round_tokens(x, bits), {}),
                            rounded(layer, leaves, weight)};
          },
      .plain = rounded};
}

}  // namespace karat
