// fit mse: the range that costs least, found by shrinking min-max step by step (the clip search of
// GPTQ's code and of AWQ, but either end by itself), then refined: with the codes held, the best
// scale and offset are a weighted regression of the weights on their levels; with those, the codes
// are found again. A row takes a step only if its cost falls, so the result is never worse than
// min-max.
#include "grid/affine/affine.h"

namespace karat {
namespace {

/// argmin over scale, offset of Σ cost·(scale·level + offset − w)², row by row. Rows whose levels
/// are all alike get a scale that is not finite and lose every comparison.
Affine regress(const Slab& slab, const torch::Tensor& costs, const torch::Tensor& level) {
  const torch::Tensor total = costs.sum(1, /*keepdim=*/true);
  const auto mean = [&](const torch::Tensor& x) {
    return (costs * x).sum(1, /*keepdim=*/true) / total;
  };
  const torch::Tensor mean_level = mean(level), mean_weight = mean(slab.weight);
  const torch::Tensor centred = level - mean_level;
  const torch::Tensor scale = mean(centred * (slab.weight - mean_weight)) / mean(centred.square());
  return {scale, mean_weight - scale * mean_level};
}

/// The best range so far of every row, and what it costs.
class Search {
 public:
  Search(const Slab& slab, const Levels& levels)
      : slab_(slab), levels_(levels), costs_(costs_of(slab)) {
    best_ = min_max(slab.weight, slab.kept, levels);
    error_ = error_of(slab, costs_, best_, levels);
  }

  /// Takes the line in the rows where it costs less; whether there was one.
  bool offer(const Affine& line) {
    const torch::Tensor now = error_of(slab_, costs_, line, levels_);
    const torch::Tensor better = (now < error_) & (line.scale > 0);
    best_ = either(better, line, best_);
    error_ = torch::where(better, now, error_);
    return better.any().item<bool>();
  }

  /// Offers every range whose ends have moved inwards by 0, 1 … `steps` times `share` of the width.
  void shrink(std::int64_t steps, double share) {
    const Affine range = best_;
    const double first = levels_.values.front(), span = levels_.span();
    const torch::Tensor low = range.offset + range.scale * first, width = range.scale * span;
    for (std::int64_t below = 0; below <= steps; ++below)
      for (std::int64_t above = 0; above <= steps; ++above) {
        const double left = share * static_cast<double>(below);
        const double right = share * static_cast<double>(above);
        const torch::Tensor scale = range.scale * (1 - left - right);
        offer({scale, low + width * left - scale * first});
      }
  }

  /// One regression on the codes of the best range; whether some row gained.
  bool refine() {
    const torch::Tensor codes = encode(slab_.weight, best_.scale, zero_of(best_), levels_);
    const torch::Tensor one = torch::ones_like(best_.scale);
    return offer(regress(slab_, costs_, decode(codes, one, torch::zeros_like(one), levels_)));
  }

  const Affine& best() const { return best_; }

 private:
  const Slab& slab_;
  const Levels& levels_;
  torch::Tensor costs_, error_;
  Affine best_;
};

Affine fit(const Slab& slab, const Levels& levels, std::int64_t steps, double least,
           std::int64_t rounds) {
  Search search(slab, levels);
  search.shrink(steps, (1 - least) / (2 * static_cast<double>(steps)));
  for (std::int64_t round = 0; round < rounds; ++round)
    if (!search.refine()) break;
  return search.best();
}

}  // namespace

Fit mse_fit(Options& options) {
  Fit found{.cost = choose_cost(options, "equal")};
  const std::int64_t steps = options.integer("steps", 6, 1, 100, "places tried for either end");
  const double least = options.number("least", 0.2, 0.01, 1, "the narrowest, as a share");
  const std::int64_t rounds = options.integer("rounds", 4, 0, 1000, "regressions at most");
  found.line = [=](const Slab& slab, const Levels& levels) {
    return fit(slab, levels, steps, least, rounds);
  };
  return found;
}

}  // namespace karat
