// fit gaussian: the range that costs a Gaussian of the slab's mean and deviation least. No search
// over weights: QuEST's data-free grid (arXiv 2502.05003), for any list of levels.
#include <cmath>
#include <mutex>

#include "grid/affine/affine.h"

namespace karat {
namespace {

/// ∫ (x − v)² φ(x) dx over [a, b], φ the standard normal density.
double squared(double a, double b, double v) {
  const auto density = [](double x) {
    return std::isinf(x) ? 0 : std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
  };
  const auto below = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  const auto edge = [&](double x) { return std::isinf(x) ? 0 : (x - 2 * v) * density(x); };
  return (1 + v * v) * (below(b) - below(a)) + edge(a) - edge(b);
}

}  // namespace

/// Mean squared error of rounding a standard normal to scale·(level − middle of the levels).
double gaussian_error(const Levels& levels, double scale) {
  const double middle = (levels.values.front() + levels.values.back()) / 2;
  double error = 0, left = -INFINITY;
  for (std::size_t i = 0; i < levels.values.size(); ++i) {
    const auto at = [&](std::size_t k) { return scale * (levels.values[k] - middle); };
    const double right = i + 1 < levels.values.size() ? (at(i) + at(i + 1)) / 2 : INFINITY;
    error += squared(left, right, at(i));
    left = right;
  }
  return error;
}

/// Its minimum over the scale, by golden section.
double gaussian_scale(const Levels& levels) {
  constexpr double kGolden = 0.6180339887498949;
  double low = 1e-3, high = 12 / levels.span();
  for (int step = 0; step < 100; ++step) {
    const double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
    if (gaussian_error(levels, a) < gaussian_error(levels, b))
      high = b;
    else
      low = a;
  }
  return (low + high) / 2;
}

Fit gaussian_fit(Options&) {
  struct Unit {
    std::once_flag once;
    double scale = 0;
  };
  const auto unit = std::make_shared<Unit>();  // a fit serves one grid, whose levels do not change
  return {.line = [unit](const Slab& slab, const Levels& levels) -> Affine {
    std::call_once(unit->once, [&] { unit->scale = gaussian_scale(levels); });
    const torch::Tensor costs = costs_of({.weight = slab.weight, .kept = slab.kept});
    const torch::Tensor count = costs.sum(1, /*keepdim=*/true).clamp_min(1);
    const torch::Tensor mean = (slab.weight * costs).sum(1, /*keepdim=*/true) / count;
    const torch::Tensor centred = (slab.weight - mean) * costs;
    const torch::Tensor deviation = (centred.square().sum(1, /*keepdim=*/true) / count).sqrt();
    const torch::Tensor scale = deviation * unit->scale;
    const double middle = (levels.values.front() + levels.values.back()) / 2;
    return {scale, mean - scale * middle};
  }};
}

}  // namespace karat
