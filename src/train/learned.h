// What a quantizer of training learns beside the weights.
#pragma once

#include <set>
#include <string>

#include "karat/graph.h"
#include "tuner/shared/adamw.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// What the quantizer makes of the initial weights, in place.
void start_weights(const Architecture& arch, const TrainingQuantizer& quantizer, Weights& weights);
/// The learned parameters of all layers at their start, from the weights and from what the layers
/// of the model without quantizer see of ids [sequences, time]. Call it within a SerialTorch.
Weights learned_parameters(const Architecture& arch, const TrainingQuantizer& quantizer,
                           const Weights& weights, const torch::Tensor& ids);

/// How AdamW changes them: at most by about the learning rate times their first size in a step,
/// since a step of a quantizer may be 0.01 or 1; never below a thousandth of that size.
OwnRules learned_rules(const Weights& learned, double decay);
std::set<std::string> names_of(const OwnRules& rules);
/// New leaves of these values, those that have rules not below their floors.
Weights leaves_with_floors(const Weights& values, const OwnRules& rules);

}  // namespace karat
