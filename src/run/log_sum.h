// Sums over a row of logits with the exponentials of the kernels.
#pragma once

#include <span>

namespace karat {

/// log Σ exp(x − largest), where `largest` is the largest x, of at least one finite value. Some
/// hundred values are added up in float, and these sums in double.
double log_sum_exp(std::span<const float> x, float largest);

}  // namespace karat
