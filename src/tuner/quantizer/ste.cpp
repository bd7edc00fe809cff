// The plainest: rows rounded between ± their largest entry, gradients straight through.
#include "tuner/shared/stored.h"

namespace karat {

TrainingQuantizer ste_training(Options& options) {
  const OperandBits bits = operand_bits(options);
  const WeightLattice lattice = absmax_lattice(bits.weights, bits.activations, 0);
  const RoundRows round_x = absmax_rounding(bits.activations);
  const RoundRows round_weight = absmax_rounding(bits.weights);
  return {.summary = "rows between ± their largest entry, gradients straight through",
          .operands =
              [round_x, round_weight](const Linear&, const Weights&, const torch::Tensor& weight,
                                      const torch::Tensor& x) {
                return rounded_operands(x, weight, 0, round_x, round_weight);
              },
          .lattice = lattice,
          .stored = stored_midrise("ste", lattice, bits.activations, "absmax")};
}

}  // namespace karat
