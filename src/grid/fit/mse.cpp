// fit mse: the range that costs least, found by shrinking min-max step by step (the clip search of
// GPTQ's code and of AWQ, but either end by itself), then refined: with the codes held, the best
// scale and offset are a weighted regression of the weights on their levels; with those, the codes
// are found again. A row takes a step only if its cost falls, so the result is never worse than
// min-max.
#include <algorithm>

#include "core/threads.h"
#include "grid/affine/line_error.h"
#include "grid/shared/rows.h"

namespace karat {
namespace {

struct Effort {
  std::int64_t steps, rounds;
  double least;
};

/// The best line so far of one row, and what it costs.
class Search {
 public:
  Search(const Levels& levels, std::span<const float> weight, std::span<const float> cost,
         const Line& range)
      : levels_(levels), error_(levels, weight, cost), best_(range), least_(error_.of(range)) {}

  /// Takes the best of these lines if it costs less; whether it did.
  bool offer(std::span<const Line> lines) {
    constexpr double kRounding = 1e-6;
    const auto errors = error_.of(lines);
    const auto least = std::min_element(errors.begin(), errors.begin() + lines.size());
    if (!(*least < least_ * (1 - kRounding))) return false;
    best_ = lines[static_cast<std::size_t>(least - errors.begin())];
    least_ = *least;
    return true;
  }

  /// Offers every range whose ends have moved inwards by 0, 1 … `steps` times `share` of the width,
  /// but for the one where neither has.
  void shrink(std::int64_t steps, double share) {
    const Line range = best_;
    const double first = levels_.values.front(), span = levels_.span();
    std::array<Line, LineError::kLanes> lines;
    std::size_t waiting = 0;
    const std::int64_t count = (steps + 1) * (steps + 1);
    for (std::int64_t i = 1; i < count; ++i) {
      const double below = share * static_cast<double>(i / (steps + 1));
      const double above = share * static_cast<double>(i % (steps + 1));
      const double kept = 1 - below - above;  // of the width
      lines[waiting++] = {range.scale * kept, first + (range.zero - first - below * span) / kept};
      if (waiting < lines.size() && i + 1 < count) continue;
      offer({lines.data(), waiting});
      waiting = 0;
    }
  }

  /// One regression on the codes of the best range; whether it gained.
  bool refine() {
    const Line line = error_.regress(best_);
    return offer({&line, 1});
  }

  const Line& best() const { return best_; }

 private:
  const Levels& levels_;
  LineError error_;
  Line best_;
  double least_;
};

Line fit_row(Search search, const Effort& effort) {
  search.shrink(effort.steps, (1 - effort.least) / (2 * static_cast<double>(effort.steps)));
  for (std::int64_t round = 0; round < effort.rounds; ++round)
    if (!search.refine()) break;
  return search.best();
}

Affine fit(const Slab& slab, const Levels& levels, const Effort& effort) {
  constexpr std::int64_t kGrain = 64;
  const Rows<float> weight(slab.weight), cost(costs_of(slab));
  const Affine range = min_max(slab.weight, slab.kept, levels);
  torch::Tensor scale = range.scale.to(torch::kCPU), zero = zero_of(range).to(torch::kCPU);
  float *scales = scale.data_ptr<float>(), *zeros = zero.data_ptr<float>();
  parallel_for(scale.size(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const Line start{scales[row], zeros[row]};
      const Line found = fit_row({levels, weight[row], cost[row], start}, effort);
      scales[row] = static_cast<float>(found.scale);
      zeros[row] = static_cast<float>(found.zero);
    }
  });
  return line_of(scale.to(slab.weight.device()), zero.to(slab.weight.device()));
}

}  // namespace

Fit mse_fit(Options& options) {
  Fit found{.cost = choose_cost(options, "equal")};
  Effort effort;
  effort.steps = options.integer("steps", 6, 1, 100, "places tried for either end");
  effort.least = options.number("least", 0.2, 0.01, 1, "the narrowest, as a share");
  effort.rounds = options.integer("rounds", 4, 0, 1000, "regressions at most");
  found.line = [=](const Slab& slab, const Levels& levels) { return fit(slab, levels, effort); };
  return found;
}

}  // namespace karat
