// QuaRot's quantizer (Ashkboos et al. 2024, arXiv 2404.00456) in training: `ste` in the Hadamard
// basis.
#include "tuner/shared/stored.h"

namespace karat {

TrainingQuantizer quarot_training(Options& options) {
  const OperandBits bits = operand_bits(options);
  const std::int64_t block = hadamard_option(options, /*may_be_off=*/false);
  const WeightLattice lattice = absmax_lattice(bits.weights, bits.activations, block);
  const RoundRows round_x = absmax_rounding(bits.activations);
  const RoundRows round_weight = absmax_rounding(bits.weights);
  return {.summary = "ste in the Hadamard basis (arXiv 2404.00456)",
          .check = [block](const Linear& layer) { check_blocks("quantizer quarot", layer, block); },
          .operands =
              [block, round_x, round_weight](const Linear&, const Weights&,
                                             const torch::Tensor& weight, const torch::Tensor& x) {
                return rounded_operands(x, weight, block, round_x, round_weight);
              },
          .lattice = lattice,
          .stored = stored_midrise("quarot", lattice, bits.activations, "absmax")};
}

}  // namespace karat
