// Two gradients of one loss: where the parameters are, and where a step up the slope takes them.
// SAGM (Wang et al., CVPR 2023, arXiv 2303.11505), after SAM (Foret et al., ICLR 2021).
#pragma once

#include <functional>
#include <set>
#include <string>

#include "karat/graph.h"

namespace karat {

/// θ' = θ + (rho / ‖g‖ − alpha) g; alpha 0 is SAM's point.
struct SagmOptions {
  double rho = 0.05, alpha = 1e-3;
};

struct GradientPair {
  Weights task, smooth;  // ∇L(θ), ∇L(θ')
};

/// `gradients` computes ∇L of all `leaves` as they are; it is called twice, the second time with
/// the leaves at θ'. ‖g‖ is of all of them together. Those named in `positive` fall to a tenth of
/// what they are at most, for a step of a quantizer must stay above 0. On return, also by an
/// exception, the leaves have their bits back.
GradientPair sagm_pair(Weights& leaves, const SagmOptions& options,
                       const std::set<std::string>& positive,
                       const std::function<Weights()>& gradients);

}  // namespace karat
