// What solvers and metrics share about the Hessian of a layer's error, eᵀHe for each row.
#pragma once

#include "karat/axes.h"

namespace karat {

/// The option `hessian`: by which quadratic form a solver measures errors.
struct HessianChoice {
  Needs needs = {};
  /// [in, in]. Throws Error naming the layer when the statistic is missing or not finite.
  std::function<torch::Tensor(const Layer& layer)> of = {};
};
/// inputs: LinearStats::hessian, GPTQ's · guided: LinearStats::guided (GuidedQuant, arXiv
/// 2505.07004) · with a sketch also, and by default, kl: LinearStats::input_factor (YAQA, arXiv
/// 2505.22988), its mean(diag) made 1.
HessianChoice choose_hessian(Options& options, Sketch sketch = Sketch::none);
/// LinearStats::output_factor likewise.
torch::Tensor output_hessian(const Layer& layer);

/// Upper triangular R [n, n] with H + damp·mean(diag H)·I = R Rᵀ; otherwise as inverse_factor().
torch::Tensor upper_factor(const torch::Tensor& hessian, double damp, const std::string& layer);
/// R⁻¹: upper triangular U [n, n] with (H + damp·mean(diag H)·I)⁻¹ = UᵀU. Inputs that are never
/// active (Hjj = 0) count as if Hjj were 1. When H is too ill-conditioned the damping grows
/// tenfold, up to 1; then throws Error naming the layer. Throws also when H is not finite.
torch::Tensor inverse_factor(const torch::Tensor& hessian, double damp, const std::string& layer);

/// tr(E H Eᵀ) of errors E [rows, n] and a symmetric H [n, n], summed in double.
double energy(const torch::Tensor& error, const torch::Tensor& hessian);

}  // namespace karat
