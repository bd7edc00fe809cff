// Two gradients of one loss: where the values are, and where a step up the slope takes them. SAGM
// (Wang et al., CVPR 2023, arXiv 2303.10353), after SAM (Foret et al., ICLR 2021): flat minima have
// a low loss at both.
#pragma once

#include "tuner/shared/training_policy.h"

namespace karat {

/// θ' = θ + (rho / ‖g‖ − alpha) g; alpha 0 is SAM's point.
struct SagmOptions {
  double rho = 0.05, alpha = 1e-3;
};
/// Reads rho= and alpha=.
SagmOptions sagm_options(Options& options);

struct GradientPair {
  LossAndGradients task;  // at θ
  Weights smooth;         // ∇L(θ')
};
/// ‖g‖ is of all values together; what a quantizer learns is moved with the weights.
GradientPair sagm_pair(const Weights& values, const SagmOptions& options, const GradientsAt& at);

}  // namespace karat
