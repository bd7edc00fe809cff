#include "tuner/shared/accumulator.h"

#include <cmath>

#include "tuner/shared/estimator.h"

namespace karat {
namespace {

constexpr double kBelow = 1 - 1e-5;  // sums of F32 are off by less
constexpr double kSmallest = 1e-8;   // a row of zeros has a step too

torch::Tensor toward_zero(const torch::Tensor& v) {
  return pass_where(v, v.detach().trunc(), {});
}

/// Rows ≥ 0, drawn towards 0 until they sum to at most `radius` [rows, 1].
torch::Tensor simplex(const torch::Tensor& rows, const torch::Tensor& radius) {
  const auto sorted = std::get<0>(rows.sort(-1, /*descending=*/true));
  const auto places = torch::arange(1, rows.size(-1) + 1, rows.options());
  const auto thresholds = (sorted.cumsum(-1) - radius) / places;
  const auto kept = (sorted > thresholds).sum(-1, /*keepdim=*/true).clamp_min_(1) - 1;
  return (rows - thresholds.gather(-1, kept).clamp_min(0)).clamp_min_(0);
}

LevelRange levels_of(std::int64_t bits) {
  return signed_levels(bits, /*with_zero=*/true);
}

}  // namespace

double accumulator_bound(std::int64_t accumulator, std::int64_t input_bits) {
  return (std::ldexp(1.0, static_cast<int>(accumulator)) - 2) /
         (std::ldexp(1.0, static_cast<int>(input_bits)) - 1);
}

torch::Tensor zero_centred(const torch::Tensor& rows) {
  return rows - rows.mean(-1, /*keepdim=*/true);
}

torch::Tensor project_to_ball(const torch::Tensor& rows, const torch::Tensor& radius) {
  return simplex(rows.clamp_min(0), radius / 2) - simplex((-rows).clamp_min(0), radius / 2);
}

torch::Tensor BoundedRows::rounded(const torch::Tensor& weight, const torch::Tensor& norm,
                                   const torch::Tensor& step) const {
  const auto v = zero_centred(weight);
  const auto length = v.abs().sum(-1, /*keepdim=*/true).clamp_min(kSmallest);
  const auto share = torch::min(norm, step * (kBelow * bound)) / (length * step);
  const LevelRange levels = levels_of(bits);
  return toward_zero(v * share).clamp(levels.low, levels.high) * step;
}

torch::Tensor BoundedRows::first_steps(const torch::Tensor& rows) const {
  constexpr int kTried = 24;
  const LevelRange levels = levels_of(bits);
  const auto widest = rows.abs().amax(-1, /*keepdim=*/true) / levels.high + kSmallest;
  torch::Tensor best, least;
  for (int i = kTried; i >= 1; --i) {
    const auto step = widest * (static_cast<double>(i) / kTried);
    const auto inside = project_to_ball(rows, step * bound);
    const auto value = (inside / step).trunc_().clamp_(levels.low, levels.high).mul_(step);
    const auto error = (value - rows).square_().sum(-1, /*keepdim=*/true);
    best = best.defined() ? torch::where(error < least, step, best) : step;
    least = least.defined() ? torch::min(error, least) : error;
  }
  return best;
}

}  // namespace karat
