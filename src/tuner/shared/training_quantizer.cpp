#include "tuner/shared/training_quantizer.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "karat/error.h"
#include "model/ops.h"
#include "tuner/shared/estimator.h"

namespace karat {
namespace {

constexpr std::int64_t kUnquantized = 16;

std::int64_t bits_option(Options& options, const std::string& key) {
  const std::int64_t bits =
      options.integer(key, 4, 1, 16, "bits of " + key + ", 1 to 8; 16: not quantized");
  if (bits > 8 && bits != kUnquantized)
    fail("quantizer", fmt::format("{}={}", key, bits), "1 to 8, or 16",
         "16 leaves " + key + " unquantized");
  return bits;
}

}  // namespace

NamedQuantizer make_training_quantizer(std::string_view text) {
  return make_named(training_quantizer_table(), "quantizer", text);
}

LinearProduct quantized_product(const TrainingQuantizer& quantizer) {
  return [quantizer](const Linear& layer, const Weights& block, const torch::Tensor& x) {
    const Operands both = quantizer.operands(layer, block, block.at(layer.name + ".weight"), x);
    return project(layer, block, both.weight, both.x);
  };
}

LinearProduct product_of_plain_inputs(const NamedQuantizer& quantizer) {
  const std::string none = std::to_string(kUnquantized);
  if (option_of(quantizer.text, "weights").value_or(none) == none) return {};
  if (!quantizer.value.plain)
    return quantized_product(
        make_training_quantizer(with_option(quantizer.text, "activations", none)).value);
  return [plain = quantizer.value.plain](const Linear& layer, const Weights& block,
                                         const torch::Tensor& x) {
    return project(layer, block, plain(layer, block, block.at(layer.name + ".weight")), x);
  };
}

LinearProduct lattice_product(const WeightLattice& lattice, const Weights& steps) {
  return [lattice, &steps](const Linear& layer, const Weights& block, const torch::Tensor& x) {
    const std::string weight = layer.name + ".weight";
    const Operands both = lattice.operands(block.at(weight), x, steps.at("steps." + weight));
    return project(layer, block, both.weight, both.x);
  };
}

Operands WeightLattice::operands(const torch::Tensor& weight, const torch::Tensor& x,
                                 const torch::Tensor& row_steps) const {
  const RoundRows snap = [&](const torch::Tensor& rows) {
    const auto levels = nearest_levels(rows.detach() / row_steps, signed_levels(bits, false));
    return pass_where(rows, levels * row_steps, {});
  };
  return rounded_operands(x, weight, hadamard, inputs, snap);
}

torch::Tensor WeightLattice::turned(const torch::Tensor& weight) const {
  return hadamard > 0 ? block_hadamard(weight, hadamard) : weight;
}

torch::Tensor WeightLattice::codes(const torch::Tensor& rows, const torch::Tensor& row_steps,
                                   const torch::Tensor& draws) const {
  const LevelRange levels = signed_levels(bits, /*with_zero=*/false);
  const auto at = rows / row_steps;
  const auto level = draws.defined() ? (at + draws - 0.5).floor_().clamp_(levels.low, levels.high)
                                     : nearest_levels(at, levels) - 0.5;
  return (level - levels.low).round_().to(torch::kUInt8);
}

torch::Tensor WeightLattice::weight(const torch::Tensor& codes,
                                    const torch::Tensor& row_steps) const {
  const double lowest = signed_levels(bits, /*with_zero=*/false).bottom();
  return turned((codes.to(torch::kFloat32) + lowest) * row_steps);
}

OperandBits operand_bits(Options& options) {
  const std::int64_t weights = bits_option(options, "weights");
  const std::int64_t activations = bits_option(options, "activations");
  if (weights == kUnquantized && activations == kUnquantized)
    fail("quantizer", "16 bits for weights and activations", "at least one of them quantized",
         "without --quantize nothing is");
  return {weights, activations};
}

std::int64_t hadamard_option(Options& options, bool may_be_off) {
  const std::string off = may_be_off ? "; 0: none" : "";
  const std::int64_t block = options.integer("hadamard", 128, may_be_off ? 0 : 2, 1 << 20,
                                             "block of the transform, a power of two" + off);
  if (block != 0 && (block < 2 || !std::has_single_bit(static_cast<std::uint64_t>(block))))
    fail("quantizer", fmt::format("hadamard={}", block), "a power of two from 2" + off);
  return block;
}

void check_blocks(const std::string& operation, const Linear& layer, std::int64_t size) {
  if (size > 0 && layer.in % size != 0)
    fail(operation, fmt::format("{} with rows of {} inputs", layer.name, layer.in),
         fmt::format("a multiple of {}", size),
         size > 8 ? "choose a smaller hadamard= or another size in the config" : "");
}

Operands rounded_operands(const torch::Tensor& x, const torch::Tensor& weight, std::int64_t block,
                          const RoundRows& round_x, const RoundRows& round_weight) {
  const auto turn = [&](const torch::Tensor& rows) {
    return block > 0 ? block_hadamard(rows, block) : rows;
  };
  if (!round_x) return {x, turn(round_weight(turn(weight)))};
  if (!round_weight) return {turn(round_x(turn(x))), weight};
  return {round_x(turn(x)), round_weight(turn(weight))};
}

torch::Tensor absmax_steps(const torch::Tensor& rows, std::int64_t bits) {
  return rows.abs().amax(-1, /*keepdim=*/true) *
             (2 / (std::ldexp(1.0, static_cast<int>(bits)) - 1)) +
         1e-8;
}

WeightLattice absmax_lattice(std::int64_t bits, std::int64_t activations, std::int64_t hadamard) {
  WeightLattice lattice{.bits = bits, .hadamard = hadamard};
  if (bits != kUnquantized)
    lattice.steps = [bits](const torch::Tensor& rows) { return absmax_steps(rows, bits); };
  lattice.inputs = absmax_rounding(activations);
  return lattice;
}

torch::Tensor round_absmax(const torch::Tensor& rows, std::int64_t bits) {
  torch::Tensor value;
  {
    const torch::NoGradGuard no_grad;
    const auto step = absmax_steps(rows, bits);
    value = nearest_levels(rows / step, signed_levels(bits, false)).mul_(step);
  }
  return pass_where(rows, value, {});
}

RoundRows absmax_rounding(std::int64_t bits) {
  if (bits == kUnquantized) return {};
  return [bits](const torch::Tensor& rows) { return round_absmax(rows, bits); };
}

}  // namespace karat
