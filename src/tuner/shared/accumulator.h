// Integer weights whose dot products with integer inputs fit an accumulator of few bits, whatever
// the inputs are: A2Q+ (Colbert et al., ICML 2024, arXiv 2401.10432).
#pragma once

#include <cstdint>

#include "karat/torch.h"

namespace karat {

/// The largest Σ|q| of integers q whose positive and whose negative half are no more than half of
/// it each: (2^P − 2) / (2^N − 1) for an accumulator of P bits, −2^(P−1) … 2^(P−1) − 1, and inputs
/// of N bits, 0 … 2^N − 1 or −2^(N−1) … 2^(N−1) − 1. It holds for every partial sum too, in any
/// order, since an input may be 0.
double accumulator_bound(std::int64_t accumulator, std::int64_t input_bits);

/// Rows [rows, n] less their means.
torch::Tensor zero_centred(const torch::Tensor& rows);

/// The nearest rows, in the Euclidean sense, to rows of mean 0 that have mean 0 too and Σ|v| ≤
/// radius [rows, 1]: each half is drawn towards 0 by a threshold of its own until its sum is half
/// the radius (Duchi et al., ICML 2008).
torch::Tensor project_to_ball(const torch::Tensor& rows, const torch::Tensor& radius);

/// Weights of integers, q · step.
struct BoundedRows {
  std::int64_t bits = 4;  // −2^(bits−1) … 2^(bits−1) − 1, 2 to 8
  double bound = 0;       // of Σ|q|

  /// q = clip(toward zero(v / ‖v‖₁ · min(norm, bound · step) / step)), v being `weight` [out, in]
  /// zero-centred; step and norm [out, 1] are above 0. Rounding toward zero makes no |q| larger, so
  /// the bound holds. Backward: rounding is taken straight through, all else as written.
  torch::Tensor rounded(const torch::Tensor& weight, const torch::Tensor& norm,
                        const torch::Tensor& step) const;
  /// Of 24 steps up to that whose range reaches a row's largest entry, the one [rows, 1] with the
  /// least error of rows of mean 0 once they are projected and rounded.
  torch::Tensor first_steps(const torch::Tensor& rows) const;
};

}  // namespace karat
