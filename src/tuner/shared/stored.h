// Layers as they were trained through a quantizer, in Karat's format: running one multiplies what
// training multiplied (docs/format.md, sections 11 and 12).
#pragma once

#include <string>

#include "karat/packed.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// Gives the quantized weight and the rounding of inputs of a quantizer `name` whose both operands
/// lie in the basis of `lattice`, for TrainingQuantizer::stored. `inputs` names the input grid
/// (format/input_grid.h) of `activations` bits. Throws Error on bits that no format stores.
TrainingQuantizer::Stored stored_midrise(const std::string& name, const WeightLattice& lattice,
                                         std::int64_t activations, const std::string& inputs);

}  // namespace karat
