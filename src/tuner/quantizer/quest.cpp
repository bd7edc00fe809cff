// QuEST (Panferov et al., ICML 2025, arXiv 2502.05003): Hadamard basis, a grid that follows from
// each row's RMS, and gradients of trusted entries alone.
#include "karat/error.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/gaussian_grid.h"
#include "tuner/shared/stored.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {
namespace {

struct Quest {
  OperandBits bits;
  std::int64_t block = 128;
  bool e2m1 = false, sparse = false;
  double trust = 0;
};

/// The reach at one bit where none is given: the best of the paper's sweeps.
double outer_trust(std::int64_t block) {
  return block > 0 ? 1.3 : 1.25;
}

RoundRows gaussian_rounding(const Quest& quest, std::int64_t bits, bool sparse) {
  if (bits == 16) return {};
  const double trust =
      quest.trust > 0 || bits > 1 || quest.e2m1 ? quest.trust : outer_trust(quest.block);
  GaussianGrid grid = quest.e2m1 ? gaussian_e2m1_grid() : gaussian_grid(bits, trust);
  if (quest.e2m1 && trust > 0) grid.reach = trust * grid.clip;
  return [grid, sparse](const torch::Tensor& rows) {
    const GaussianRounded rounded = round_gaussian(rows, grid, sparse);
    return pass_where(rows, rounded.value, rounded.trusted);
  };
}

/// Of weights that are quantized, dense and on the uniform grid.
WeightLattice quest_lattice(const Quest& quest) {
  WeightLattice lattice{.bits = quest.bits.weights, .hadamard = quest.block};
  if (quest.bits.weights == 16 || quest.e2m1 || quest.sparse) return lattice;
  lattice.steps = [grid = gaussian_grid(quest.bits.weights)](const torch::Tensor& rows) {
    return gaussian_steps(rows, grid);
  };
  lattice.inputs = gaussian_rounding(quest, quest.bits.activations, false);
  return lattice;
}

TrainingQuantizer::Stored stored_quest(const Quest& quest) {
  const auto store =
      stored_midrise("quest", quest_lattice(quest), quest.bits.activations, "gaussian");
  return [quest, store](const Linear& layer, const torch::Tensor& weight,
                        const torch::Tensor& steps) {
    if (quest.e2m1 || quest.sparse)
      fail("store a model of quantizer quest", quest.e2m1 ? "grid=e2m1" : "sparse=1",
           "grid=uniform and sparse=0", "the packed format has no such layer with rounded inputs");
    return store(layer, weight, steps);
  };
}

}  // namespace

TrainingQuantizer quest_training(Options& options) {
  Quest quest;
  quest.bits = operand_bits(options);
  quest.block = hadamard_option(options, /*may_be_off=*/true);
  quest.e2m1 = options.choice("grid", "uniform", {"uniform", "e2m1"},
                              "values: uniform without zero, or e2m1, FP4 (4 bits)") == "e2m1";
  quest.sparse = options.flag("sparse", false, "1: two pairs of weights in each four become 0");
  quest.trust = options.number("trust", 0, 0, 16,
                               "reach of gradients in clip values; 0: half a step beyond one, and "
                               "at 1 bit 1.3, without Hadamard 1.25");
  for (const std::int64_t bits : {quest.bits.weights, quest.bits.activations})
    if (quest.e2m1 && bits != 4 && bits != 16)
      fail("quantizer quest", "grid=e2m1 at " + std::to_string(bits) + " bits", "4 or 16 bits");
  if (quest.sparse && quest.bits.weights == 16)
    fail("quantizer quest", "sparse=1 with weights=16", "quantized weights");
  const RoundRows round_x = gaussian_rounding(quest, quest.bits.activations, false);
  const RoundRows round_weight = gaussian_rounding(quest, quest.bits.weights, quest.sparse);
  return {
      .summary = "Hadamard basis, Gaussian grid, trusted gradients (arXiv 2502.05003)",
      .check =
          [quest](const Linear& layer) {
            check_blocks("quantizer quest", layer, quest.block);
            if (quest.sparse) check_blocks("quantizer quest, sparse=1", layer, 8);
          },
      .operands =
          [block = quest.block, round_x, round_weight](
              const Linear&, const Weights&, const torch::Tensor& weight, const torch::Tensor& x) {
            return rounded_operands(x, weight, block, round_x, round_weight);
          },
      .lattice = quest_lattice(quest),
      .stored = stored_quest(quest)};
}

}  // namespace karat
