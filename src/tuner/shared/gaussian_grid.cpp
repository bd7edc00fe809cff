#include "tuner/shared/gaussian_grid.h"

#include <cmath>

#include "core/levels.h"
#include "tuner/shared/estimator.h"

namespace karat {
namespace {

constexpr double kTiny = 1e-8;  // a row of zeros has a step too

constexpr double kE2m1Unit = 0.4870794839;
constexpr double kE2m1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

torch::Tensor nearest_e2m1(const torch::Tensor& x) {
  std::vector<double> between;
  for (std::size_t i = 1; i < std::size(kE2m1); ++i)
    between.push_back((kE2m1[i - 1] + kE2m1[i]) / 2);
  const auto options = x.options();
  const auto index = torch::bucketize(x.abs(), torch::tensor(between).to(options));
  const auto values = torch::tensor(std::vector<double>(std::begin(kE2m1), std::end(kE2m1)));
  return values.to(options).index({index}).mul_(x.sign());
}

/// Which entries stay: two pairs of each four.
torch::Tensor kept_pairs(const torch::Tensor& x) {
  const auto norms = x.reshape({-1, 4, 2}).square().sum(-1);
  const auto order = std::get<1>(norms.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true));
  const auto kept = torch::zeros_like(norms, torch::kBool).scatter_(1, order.narrow(1, 0, 2), true);
  return kept.unsqueeze(-1).expand({-1, 4, 2}).reshape(x.sizes());
}

}  // namespace

GaussianGrid gaussian_grid(std::int64_t bits, double trust) {
  const double clip = gaussian_clip(bits);
  const double half_gap = clip / (std::ldexp(1.0, static_cast<int>(bits)) - 1);
  return {bits, false, clip, half_gap, trust > 0 ? trust * clip : clip + half_gap};
}

GaussianGrid gaussian_e2m1_grid() {
  return {4, true, 6 * kE2m1Unit, kE2m1Unit, 7 * kE2m1Unit};
}

namespace {

torch::Tensor row_rms(const torch::Tensor& x) {
  return x.square().mean(-1, /*keepdim=*/true).sqrt_();
}

}  // namespace

torch::Tensor gaussian_steps(const torch::Tensor& x, const GaussianGrid& grid) {
  return row_rms(x) * (2 * grid.half_gap) + kTiny;
}

GaussianRounded round_gaussian(const torch::Tensor& x, const GaussianGrid& grid, bool sparse) {
  const torch::NoGradGuard no_grad;
  const auto sigma = row_rms(x);
  GaussianRounded result;
  if (grid.e2m1) {
    const auto unit = sigma * kE2m1Unit + kTiny;
    result.value = nearest_e2m1(x / unit).mul_(unit);
  } else {
    const auto step = gaussian_steps(x, grid);
    result.value = nearest_levels(x / step, signed_levels(grid.bits, false)).mul_(step);
  }
  auto reach = sigma * grid.reach;
  if (sparse) {
    const auto kept = kept_pairs(x);
    result.value.mul_(kept);
    reach = torch::where(kept, reach, sigma * grid.half_gap);
  }
  result.trusted = x.abs() <= reach;
  return result;
}

}  // namespace karat
