// fit hqq: the zero that makes errors sparse, Σ|w − ŵ|^p with p = 0.7, by half-quadratic splitting;
// the scale stays at min-max. No calibration. (HQQ, mobiusml/hqq.)
#include "grid/affine/affine.h"

namespace karat {
namespace {

constexpr double kFirstBeta = 10, kBetaGrowth = 1.01;

/// The p-norm's proximal step: sign(x)·max(0, |x| − |x|^(p−1)/β).
torch::Tensor shrink(const torch::Tensor& x, double p, double beta) {
  const torch::Tensor size = x.abs();
  return x.sign() * (size - size.pow(p - 1) / beta).clamp_min(0);
}

Affine fit(const Slab& slab, const Levels& levels, double p, std::int64_t rounds) {
  const Affine range = min_max(slab.weight, slab.kept, levels);
  const torch::Tensor scale = range.scale.masked_fill(range.scale == 0, 1);
  const torch::Tensor counts =
      slab.kept.defined() ? (~slab.kept).to(torch::kFloat32) : torch::ones_like(slab.weight);
  const torch::Tensor count = counts.sum(1, /*keepdim=*/true).clamp_min(1);
  const auto mean = [&](const torch::Tensor& x) {
    return (x * counts).sum(1, /*keepdim=*/true) / count;
  };
  torch::Tensor zero = zero_of(range), best_zero = zero;
  torch::Tensor best = torch::full_like(zero, std::numeric_limits<double>::infinity());
  double beta = kFirstBeta;
  for (std::int64_t round = 0; round < rounds; ++round, beta *= kBetaGrowth) {
    const torch::Tensor codes = encode(slab.weight, scale, zero, levels);
    const torch::Tensor wrong = slab.weight - decode(codes, scale, zero, levels);
    const torch::Tensor size = mean(wrong.abs());
    const torch::Tensor better = size < best;
    if (!better.any().item<bool>()) break;
    best = torch::where(better, size, best);
    best_zero = torch::where(better, zero, best_zero);
    const torch::Tensor level =
        decode(codes, torch::ones_like(scale), torch::zeros_like(scale), levels);
    zero = mean(level - (slab.weight - shrink(wrong, p, beta)) / scale);
  }
  return line_of(range.scale, best_zero);
}

}  // namespace

Fit hqq_fit(Options& options) {
  const double p = options.number("norm", 0.7, 0.1, 1, "p of the error's norm");
  const std::int64_t rounds = options.integer("rounds", 20, 1, 1000, "rounds at most");
  return {
      .line = [=](const Slab& slab, const Levels& levels) { return fit(slab, levels, p, rounds); }};
}

}  // namespace karat
