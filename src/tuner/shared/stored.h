// Layers as they were trained through a quantizer, in Karat's format: running one multiplies what
// training multiplied (docs/format.md, sections 11 and 12).
#pragma once

#include <functional>
#include <string>

#include "karat/packed.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// The steps [rows, 1] that rows [rows, n] are rounded with, to levels without a zero.
using RowSteps = std::function<torch::Tensor(const torch::Tensor& rows)>;

/// Gives the quantized weight and the rounding of inputs of a quantizer `name` whose both operands
/// lie in the basis of the block Hadamard transform of order `hadamard` (0: their own), for
/// TrainingQuantizer::stored. `inputs` names the input grid (format/input_grid.h). Throws Error on
/// bits that no format stores.
TrainingQuantizer::Stored stored_midrise(const std::string& name, const OperandBits& bits,
                                         std::int64_t hadamard, const std::string& inputs,
                                         const RowSteps& steps);

}  // namespace karat
