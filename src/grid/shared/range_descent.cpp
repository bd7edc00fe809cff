#include "grid/shared/range_descent.h"

#include <algorithm>

#include "core/threads.h"
#include "grid/shared/gram_error.h"
#include "grid/shared/rows.h"

namespace karat {
namespace {

struct Point {
  double scale, zero, error;
};

/// One iteration's two moves; false when neither neighbour was better.
bool step(GramError& error, Point& at, double by) {
  bool moved = false;
  const double below = error.of(at.scale, at.zero - by), above = error.of(at.scale, at.zero + by);
  if (std::min(below, above) < at.error && below != above) {
    at =
        above < below ? Point{at.scale, at.zero + by, above} : Point{at.scale, at.zero - by, below};
    moved = true;
  }
  const Point before = at;
  for (const double factor : {1 - by, 1 + by}) {
    const double scale = before.scale * factor;
    const double found = scale > 0 ? error.of(scale, at.zero) : at.error;
    if (found < at.error) at = {scale, at.zero, found};
  }
  return moved || at.scale != before.scale;
}

Point descend_row(GramError& error, Point at, const RangeDescent& options) {
  at.error = error.of(at.scale, at.zero);
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    double low = options.probe / 5, high = options.probe * 5;
    bool any = false;
    for (std::int64_t j = 0, idle = 0; j < options.iterations && idle <= options.patience; ++j) {
      const bool moved = step(error, at, j % 2 == 1 ? low *= 0.9 : high *= 1.1);
      any |= moved;
      idle = moved ? 0 : idle + 1;
    }
    if (!any) break;  // the next epoch would try the same steps from the same place
  }
  return at;
}

torch::Tensor by_gram(const torch::Tensor& x, const torch::Tensor& gram) {
  return x.to(torch::kCPU).to(torch::kFloat64).matmul(gram);
}

}  // namespace

Affine descend(const Slab& slab, const Levels& levels, const Affine& start,
               const RangeDescent& options) {
  constexpr std::int64_t kGrain = 16;
  const Rows<float> weight(slab.weight);
  const Rows<bool> kept(slab.kept);
  const torch::Tensor gram = slab.gram.to(torch::kCPU).to(torch::kFloat64).contiguous();
  const torch::Tensor counts = costs_of({.weight = slab.weight, .kept = slab.kept});
  const Rows<double> h_one(by_gram(counts, gram)), h_weight(by_gram(slab.weight * counts, gram));
  torch::Tensor scale = start.scale.to(torch::kCPU).clone();
  torch::Tensor zero = zero_of(start).to(torch::kCPU);
  float *scales = scale.data_ptr<float>(), *zeros = zero.data_ptr<float>();
  parallel_for(scale.size(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    GramError error({gram.data_ptr<double>(), static_cast<std::size_t>(gram.numel())},
                    levels.values);
    for (std::int64_t row = begin; row < end; ++row) {
      if (!(scales[row] > 0)) continue;
      error.begin({weight[row], kept[row], h_one[row], h_weight[row]});
      const Point found = descend_row(error, {scales[row], zeros[row], 0}, options);
      scales[row] = static_cast<float>(found.scale);
      zeros[row] = static_cast<float>(found.zero);
    }
  });
  return line_of(scale.to(slab.weight.device()), zero.to(slab.weight.device()));
}

}  // namespace karat
