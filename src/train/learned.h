// What a quantizer of training learns beside the weights.
#pragma once

#include "karat/graph.h"
#include "tuner/shared/adamw.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// The learned parameters of all layers at their start, from the weights and from what the layers
/// of the model without quantizer see of ids [sequences, time]. Call it within a SerialTorch.
Weights learned_parameters(const Architecture& arch, const TrainingQuantizer& quantizer,
                           const Weights& weights, const torch::Tensor& ids);

/// How AdamW changes them: at most by about the learning rate times their first size in a step,
/// since a step of a quantizer may be 0.01 or 1; never below a thousandth of that size.
OwnRules learned_rules(const Weights& learned, double decay);

}  // namespace karat
