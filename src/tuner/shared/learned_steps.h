// What LSQ and PACT share: a learned step per tensor of each operand, named after the layer.
#pragma once

#include "tuner/shared/estimator.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// The rule that a step learns by: lsq() or pact().
using StepRule = torch::Tensor (*)(const torch::Tensor& v, const torch::Tensor& step,
                                   const LevelRange& levels);

/// Reads weights=, activations=, zero= (levels with a zero), rows= (a step for each row of weights)
/// and decay=. Steps start as those best for a Gaussian of the tensor's RMS, which exist at one bit
/// too; with a zero as LSQ's 2·mean|v| / √top.
TrainingQuantizer learned_step_training(Options& options, const std::string& name, StepRule rule,
                                        std::string summary);

}  // namespace karat
