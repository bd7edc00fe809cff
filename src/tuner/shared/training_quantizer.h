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
  /// Differentiable in x, in `weight` and in what is learned, which `leaves` holds.
  std::function<Operands(const Linear& layer, const Weights& leaves, const torch::Tensor& weight,
                         const torch::Tensor& x)>
      operands = {};
  /// The layer as Karat's format holds it, of its weight [out, in] as F32: what `operands` gives,
  /// input rounding included. Throws Error where the format has no such layer; empty: it has none.
  using Stored = std::function<PackedMatrix(const Linear& layer, const torch::Tensor& weight)>;
  Stored stored = {};
};

const std::map<std::string, TrainingQuantizer (*)(Options&)>& training_quantizer_table();

using NamedQuantizer = Named<TrainingQuantizer>;
/// "quest:weights=4,activations=4". Throws Error on an unknown name or option, listing the known.
NamedQuantizer make_training_quantizer(std::string_view text);
/// The forward of a linear layer with it, for block_forward(). Keeps a copy of the quantizer.
LinearProduct quantized_product(const TrainingQuantizer& quantizer);

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

/// Rounds a tensor of rows, with a gradient; empty: leaves it.
using RoundRows = std::function<torch::Tensor(const torch::Tensor& rows)>;
/// x and weight, each rounded in the basis of the block Hadamard transform (0: their own). Where
/// both are, they stay in it, since it cancels in their product; where one is, it is brought back.
Operands rounded_operands(const torch::Tensor& x, const torch::Tensor& weight, std::int64_t block,
                          const RoundRows& round_x, const RoundRows& round_weight);

/// The step of each of rows [rows, n] whose 2^bits levels are from −max|row| to max|row|: [rows,
/// 1].
torch::Tensor absmax_steps(const torch::Tensor& rows, std::int64_t bits);
/// Rows [rows, n] on 2^bits levels without zero from −max|row| to max|row|; gradients pass.
torch::Tensor round_absmax(const torch::Tensor& rows, std::int64_t bits);
/// Of `bits` bits; empty at 16.
RoundRows absmax_rounding(std::int64_t bits);

}  // namespace karat
