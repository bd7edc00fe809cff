// fit daq: DAQ (arXiv 2410.12187). Density-centric alignment: the range is centred on where the
// weights are dense. Then learned range adjustment: sign descent on zero and scale by the group's
// own part of the layer's output error, eᵀHe with H the Gram matrix of its inputs. Every accepted
// move lands on an evaluated better point, so the error never rises. Options as the ablations have
// them: start, zero, shrink, epochs (0: alignment alone).
#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "grid/affine/affine.h"
#include "grid/shared/range_descent.h"
#include "grid/shared/rows.h"

namespace karat {
namespace {

struct Alignment {
  std::string start, zero;
  double share, shrink;
};

/// The middle of the interval that holds `share` of these, which become sorted.
double dense_centre(std::vector<float>& weights, double share) {
  if (weights.empty()) return 0;
  std::ranges::sort(weights);
  const auto quantile = [&](double q) {  // between the two nearest
    const double at = q * static_cast<double>(weights.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const double above = weights[std::min(below + 1, weights.size() - 1)];
    return std::lerp(weights[below], above, at - std::floor(at));
  };
  return (quantile((1 - share) / 2) + quantile((1 + share) / 2)) / 2;
}

/// Of each row's weights: [rows, 1].
torch::Tensor dense_centres(const Slab& slab, double share) {
  constexpr std::int64_t kGrain = 64;
  const Rows<float> weight(slab.weight);
  const Rows<bool> kept(slab.kept);
  torch::Tensor centres = torch::empty({slab.weight.size(0), 1}, torch::kFloat32);
  parallel_for(centres.size(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> weights;
    for (std::int64_t row = begin; row < end; ++row) {
      weights.clear();
      const std::span<const float> all = weight[row];
      const std::span<const bool> without = kept[row];
      for (std::size_t i = 0; i < all.size(); ++i)
        if (without.empty() || !without[i]) weights.push_back(all[i]);
      centres.data_ptr<float>()[row] = static_cast<float>(dense_centre(weights, share));
    }
  });
  return centres.to(slab.weight.device());
}

/// The mean of each row's density, a Gaussian kernel of bandwidth 0.1 on 1000 points of its range.
torch::Tensor kernel_centre(const Slab& slab) {
  constexpr double kBandwidth = 0.1;
  constexpr std::int64_t kPoints = 1000;
  const Levels ends{.values = {0, 1}};
  const Affine range = min_max(slab.weight, slab.kept, ends);
  const torch::Tensor costs = costs_of({.weight = slab.weight, .kept = slab.kept});
  torch::Tensor sum = torch::zeros_like(range.scale), mass = torch::zeros_like(range.scale);
  for (std::int64_t i = 0; i < kPoints; ++i) {
    const torch::Tensor point =
        range.offset + range.scale * (static_cast<double>(i) / (kPoints - 1));
    const torch::Tensor density =
        (((slab.weight - point) / kBandwidth).square() * -0.5).exp().mul_(costs).sum(1, true);
    sum += density * point;
    mass += density;
  }
  return torch::where(mass > 0, sum / mass, torch::zeros_like(sum));
}

Affine align(const Slab& slab, const Levels& levels, const Alignment& how) {
  const Affine range = min_max(slab.weight, slab.kept, levels);
  if (how.start == "minmax") return range;
  const double top = levels.values.back(), middle = levels.middle;
  const torch::Tensor low = range.offset + range.scale * levels.values.front();
  const torch::Tensor high = range.offset + range.scale * top;
  torch::Tensor centre = torch::zeros_like(low);
  if (how.start == "quantile") centre = dense_centres(slab, how.share);
  if (how.start == "kde") centre = kernel_centre(slab);
  const double shrink = how.start == "absmax" ? 1 : how.shrink;
  const torch::Tensor half = torch::maximum(high - centre, centre - low);
  const torch::Tensor scale = half * (shrink / (top - middle));
  const bool centred = how.zero == "centred" && how.start != "absmax";
  return {scale, (centred ? centre : torch::zeros_like(centre)) - scale * middle};
}

}  // namespace

Fit daq_fit(Options& options) {
  Alignment how;
  how.start = options.choice("start", "quantile", {"quantile", "kde", "absmax", "minmax"},
                             "where the range begins");
  how.zero = options.choice("zero", "centred", {"centred", "zero"}, "the zero it begins with");
  how.share = options.number("share", 0.95, 0.01, 1, "of weights between the two quantiles");
  how.shrink = options.number("shrink", 0.9, 0.1, 1, "of the half range");
  RangeDescent descent;
  descent.epochs = options.integer("epochs", 10, 0, 1000, "of sign descent; 0: none");
  descent.iterations = options.integer("iterations", 100, 1, 10000, "in an epoch");
  return {.gram = descent.epochs > 0, .line = [=](const Slab& slab, const Levels& levels) {
            const Affine line = align(slab, levels, how);
            return descent.epochs > 0 ? descend(slab, levels, line, descent) : line;
          }};
}

}  // namespace karat
