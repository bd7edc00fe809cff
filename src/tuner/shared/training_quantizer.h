// A quantizer of training: what the linear layers of the blocks multiply instead of their input and
// their weights. One is src/tuner/quantizer/<name>.cpp with `TrainingQuantizer <name>_training
// (Options&)`, found by its file name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "karat/graph.h"
#include "karat/packed.h"
#include "tuner/shared/named.h"

namespace karat {

/// What is multiplied, x [tokens, in] and weight [out, in], both in the same basis.
struct Operands {
  torch::Tensor x, weight;
};

/// The steps [rows, 1] that rows [rows, n] are rounded with, to levels without a zero.
using RowSteps = std::function<torch::Tensor(const torch::Tensor& rows)>;

/// Rounds a tensor of rows, with a gradient; empty: leaves it.
using RoundRows = std::function<torch::Tensor(const torch::Tensor& rows)>;

/// Where a quantizer rounds a weight [out, in] to: in the basis of the block Hadamard transform of
/// order `hadamard` (0: its own), to the 2^bits levels without a zero of each row's step.
struct WeightLattice {
  std::int64_t bits = 0, hadamard = 0;
  RowSteps steps = {};    // empty: there is no such lattice
  RoundRows inputs = {};  // how inputs are rounded, in that basis too

  /// `weight` in that basis; the same brings it back.
  torch::Tensor turned(const torch::Tensor& weight) const;
  /// Codes 0 … 2^bits − 1, U8 [rows, n], of rows in that basis with steps [rows, 1]: nearest, or,
  /// with `draws` [rows, n] in [0, 1), one of the two beside it, right in the mean.
  torch::Tensor codes(const torch::Tensor& rows, const torch::Tensor& steps,
                      const torch::Tensor& draws = {}) const;
  /// The weight [out, in], F32, in its own basis.
  torch::Tensor weight(const torch::Tensor& codes, const torch::Tensor& steps) const;
  /// What is multiplied of a weight that lies on the lattice by these steps: its levels, which the
  /// way through its own basis moved by roundings of F32. Gradients pass.
  Operands operands(const torch::Tensor& weight, const torch::Tensor& x,
                    const torch::Tensor& steps) const;
};
/// The product of layers whose weights lie on the lattice, steps being `steps`["steps." + layer +
/// ".weight"], which outlives it.
LinearProduct lattice_product(const WeightLattice& lattice, const Weights& steps);

/// Functions of a layer and of tensors alone, which threads may call side by side.
struct TrainingQuantizer {
  std::string summary = {};  // one line for the help, with the paper
  /// Throws Error where it cannot quantize the layer; may be empty.
  std::function<void(const Linear& layer)> check = {};
  /// What is learned beside the weights, at its start, by full name ("….q_proj.weight_step"), for a
  /// layer's weight [out, in] and some of its inputs x [tokens, in]. Steps, all above 0. May be
  /// empty.
  std::function<Weights(const Linear& layer, const torch::Tensor& weight, const torch::Tensor& x)>
      learned = {};
  double decay = 0;  // decoupled weight decay of what is learned
  /// What a layer's initial weight becomes before anything is learned; empty: it stays.
  std::function<torch::Tensor(const Linear& layer, const torch::Tensor& weight)> start = {};
  /// Differentiable in x, in `weight` and in what is learned, which `leaves` holds.
  std::function<Operands(const Linear& layer, const Weights& leaves, const torch::Tensor& weight,
                         const torch::Tensor& x)>
      operands = {};
  /// The weight of `operands` where inputs are left alone; empty: that with activations=16.
  std::function<torch::Tensor(const Linear& layer, const Weights& leaves,
                              const torch::Tensor& weight)>
      plain = {};
  WeightLattice lattice = {};  // of weights, where the operand is what the lattice says
  /// The layer as Karat's format holds it, of its weight [out, in] as F32: what `operands` gives,
  /// input rounding included. `steps` [out, 1], where defined, are those of a weight that lies on
  /// the lattice already. Throws Error where the format has no such layer; empty: it has none.
  using Stored = std::function<PackedMatrix(const Linear& layer, const torch::Tensor& weight,
                                            const torch::Tensor& steps)>;
  Stored stored = {};
};

const std::map<std::string, TrainingQuantizer (*)(Options&)>& training_quantizer_table();

using NamedQuantizer = Named<TrainingQuantizer>;
/// "quest:weights=4,activations=4". Throws Error on an unknown name or option, listing the known.
NamedQuantizer make_training_quantizer(std::string_view text);
/// The forward of a linear layer with it, for block_forward(). Keeps a copy of the quantizer.
LinearProduct quantized_product(const TrainingQuantizer& quantizer);
/// The same with inputs left alone; empty where weights are left alone too.
LinearProduct product_of_plain_inputs(const NamedQuantizer& quantizer);

/// Bits of both operands, 1 to 8, or 16: not quantized.
struct OperandBits {
  std::int64_t weights = 16, activations = 16;
};
/// Reads weights= and activations=. Throws Error where neither is quantized.
OperandBits operand_bits(Options& options);

/// Reads hadamard=, the block of the transform; 0, where `may_be_off`: none.
std::int64_t hadamard_option(Options& options, bool may_be_off);
/// Throws Error unless rows of the layer are whole blocks of `size` (0: any).
void check_blocks(const std::string& operation, const Linear& layer, std::int64_t size);

/// x and weight, each rounded in the basis of the block Hadamard transform (0: their own). Where
/// both are, they stay in it, since it cancels in their product; where one is, it is brought back.
Operands rounded_operands(const torch::Tensor& x, const torch::Tensor& weight, std::int64_t block,
                          const RoundRows& round_x, const RoundRows& round_weight);

/// The step of each of rows [rows, n] whose 2^bits levels are from −max|row| to max|row|: [rows,
/// 1].
torch::Tensor absmax_steps(const torch::Tensor& rows, std::int64_t bits);
/// With these steps, and inputs rounded likewise; without steps at 16 bits.
WeightLattice absmax_lattice(std::int64_t bits, std::int64_t activations, std::int64_t hadamard);
/// Rows [rows, n] on 2^bits levels without zero from −max|row| to max|row|; gradients pass.
torch::Tensor round_absmax(const torch::Tensor& rows, std::int64_t bits);
/// Of `bits` bits; empty at 16.
RoundRows absmax_rounding(std::int64_t bits);

}  // namespace karat
