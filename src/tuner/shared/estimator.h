// Quantization inside autograd: rounding has no derivative, so each function here has a backward
// rule of its own, stated with it. All are stateless and work in any floating type; parameters
// (steps, zeros, bounds) broadcast against v, so one shape of theirs means per tensor, another per
// row or token ([rows, 1] for v [rows, columns]) and, for v as [rows, groups, columns], per group
// ([rows, groups, 1]). A gradient that a rule gives to a parameter is summed to its shape.
#pragma once

#include "karat/torch.h"

namespace karat {

/// round(v), halves to even. Backward: the gradient passes (Bengio et al. 2013, straight-through).
torch::Tensor round_ste(const torch::Tensor& v);

/// min(max(v, low), high). Backward: to v where low ≤ v ≤ high, to low below, to high above.
torch::Tensor clip_between(const torch::Tensor& v, const torch::Tensor& low,
                           const torch::Tensor& high);

/// `value`, which stands for v. Backward: the gradient passes to v where `mask` (Bool, of v's
/// shape; undefined: everywhere) holds. Nothing goes to `value` or `mask`.
torch::Tensor pass_where(const torch::Tensor& v, const torch::Tensor& value,
                         const torch::Tensor& mask);

/// Levels one apart: low … high with a zero, and low + ½ … high + ½ without ("mid-rise"), which is
/// symmetric and has two levels even at one bit.
struct LevelRange {
  double low = 0, high = 0;
  bool with_zero = true;
  double bottom() const { return with_zero ? low : low + 0.5; }
  double top() const { return with_zero ? high : high + 0.5; }
};
/// low = −2^(bits−1), high = 2^(bits−1) − 1, of 1 to 16 bits; with a zero at least 2.
LevelRange signed_levels(std::int64_t bits, bool with_zero);
/// The level nearest to each of r; between two: the even one with a zero, else the upper one.
torch::Tensor nearest_levels(const torch::Tensor& r, const LevelRange& levels);

/// step · l of the level l nearest to v / step: LSQ (Esser et al., ICLR 2020). Backward, with r = v
/// / step: to v where bottom < r < top; to step l − r there and l elsewhere (the outermost level),
/// times 1/√(n · top), n = numel(v) / numel(step) being the numbers that share a step.
/// Every step must be above 0.
torch::Tensor lsq(const torch::Tensor& v, const torch::Tensor& step, const LevelRange& levels);

/// The same value, v clipped at ±step · top: PACT (Choi et al. 2018). Backward: to v where |v| is
/// below that; to step ±top where v was clipped, and nothing elsewhere.
torch::Tensor pact(const torch::Tensor& v, const torch::Tensor& step, const LevelRange& levels);

/// scale · (q − zero), q = clip(round(v / scale + zero), low, high); zero need be no integer.
/// Backward: where low ≤ v / scale + zero ≤ high to v, and (q − zero) − v / scale to scale, nothing
/// to zero; elsewhere q − zero to scale and −scale to zero. That is what follows when rounding
/// alone is taken straight through.
torch::Tensor fake_uniform(const torch::Tensor& v, const torch::Tensor& scale,
                           const torch::Tensor& zero, double low, double high);

/// x (1 ⊗ H), H orthonormal and symmetric of order `block`, a power of two that divides x's last
/// dimension. Its own inverse, and the backward is the same transform. F32 on the CPU goes through
/// butterflies, all else through a product with H.
torch::Tensor block_hadamard(const torch::Tensor& x, std::int64_t block = 128);
/// H itself, [block, block], as F64.
torch::Tensor hadamard_matrix(std::int64_t block);

}  // namespace karat
