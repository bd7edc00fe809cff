#include "grid/shared/range_descent.h"

#include <algorithm>
#include <cmath>

namespace karat {
namespace {

/// One row. Where a probe changes few codes its error follows from the last one's in few steps:
/// with v the levels, e = s·(v − z) − w and eᵀHe is a polynomial in s and z whose coefficients
/// vᵀHv, vᵀH1 and vᵀHw move with the entries of v that moved.
class Row {
 public:
  Row(const float* weight, const bool* kept, const double* gram, std::int64_t n,
      const Levels& levels)
      : n_(n), gram_(gram), levels_(levels) {
    for (std::int64_t i = 0; i < n; ++i) {
      weight_.push_back(weight[i]);
      counts_.push_back(kept == nullptr || !kept[i]);
    }
    times_one_ = times(counts_);
    std::vector<double> w = weight_;
    for (std::int64_t i = 0; i < n; ++i) w[i] *= counts_[i];
    times_weight_ = times(w);
    one_one_ = dot(counts_, times_one_);
    one_weight_ = dot(counts_, times_weight_);
    weight_weight_ = dot(w, times_weight_);
    now_.level.assign(static_cast<std::size_t>(n), 0);
    now_.product.assign(static_cast<std::size_t>(n), 0);
  }

  /// eᵀHe at scale s and zero z.
  double error(double s, double z) {
    moved_.clear();
    State& now = now_;
    for (std::int64_t i = 0; i < n_; ++i) {
      const double level = counts_[i] != 0 ? nearest(weight_[i] / s + z) : 0;
      if (level != now.level[i]) moved_.push_back({i, level - now.level[i]});
    }
    for (const Move& move : moved_) apply(now, move);
    const double v_v = now.square, v_one = now.one, v_weight = now.weight;
    return s * s * (v_v - 2 * z * v_one + z * z * one_one_) - 2 * s * (v_weight - z * one_weight_) +
           weight_weight_;
  }

 private:
  struct Move {
    std::int64_t entry;
    double by;
  };
  struct State {
    std::vector<double> level, product;      // v and Hv
    double square = 0, one = 0, weight = 0;  // vᵀHv, vᵀH1, vᵀHw
  };

  std::vector<double> times(const std::vector<double>& x) const {
    std::vector<double> y(x.size(), 0);
    for (std::int64_t i = 0; i < n_; ++i)
      for (std::int64_t k = 0; k < n_; ++k) y[i] += gram_[i * n_ + k] * x[k];
    return y;
  }
  static double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }
  double nearest(double position) const {
    const std::vector<float>& values = levels_.values;
    if (levels_.integers)
      return std::clamp(std::nearbyint(position), 0.0, static_cast<double>(values.back()));
    const auto above = std::ranges::lower_bound(values, static_cast<float>(position));
    if (above == values.begin()) return values.front();
    if (above == values.end()) return values.back();
    const double low = *(above - 1), high = *above;
    return position <= (low + high) / 2 ? low : high;
  }
  void apply(State& state, const Move& move) const {
    const auto i = static_cast<std::size_t>(move.entry);
    const double* column = gram_ + move.entry * n_;  // H is symmetric
    state.square += move.by * (2 * state.product[i] + move.by * column[i]);
    state.one += move.by * times_one_[i];
    state.weight += move.by * times_weight_[i];
    state.level[i] += move.by;
    for (std::int64_t k = 0; k < n_; ++k) state.product[k] += move.by * column[k];
  }

  std::int64_t n_;
  const double* gram_;
  const Levels& levels_;
  std::vector<double> weight_, counts_, times_one_, times_weight_;
  double one_one_ = 0, one_weight_ = 0, weight_weight_ = 0;
  State now_;
  std::vector<Move> moved_;
};

struct Point {
  double scale, zero, error;
};

/// One iteration's two moves; false when neither neighbour was better.
bool step(Row& row, Point& at, double by) {
  bool moved = false;
  const double below = row.error(at.scale, at.zero - by), above = row.error(at.scale, at.zero + by);
  if (std::min(below, above) < at.error && below != above) {
    at =
        above < below ? Point{at.scale, at.zero + by, above} : Point{at.scale, at.zero - by, below};
    moved = true;
  }
  const Point before = at;
  for (const double factor : {1 - by, 1 + by}) {
    const double scale = before.scale * factor;
    const double error = scale > 0 ? row.error(scale, at.zero) : at.error;
    if (error < at.error) at = {scale, at.zero, error};
  }
  return moved || at.scale != before.scale;
}

Point descend_row(Row& row, Point at, const RangeDescent& options) {
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    double low = options.probe / 5, high = options.probe * 5;
    bool any = false;
    for (std::int64_t j = 0, idle = 0; j < options.iterations && idle <= options.patience; ++j) {
      const bool moved = step(row, at, j % 2 == 1 ? low *= 0.9 : high *= 1.1);
      any |= moved;
      idle = moved ? 0 : idle + 1;
    }
    if (!any) break;  // the next epoch would try the same steps from the same place
  }
  return at;
}

}  // namespace

Affine descend(const Slab& slab, const Levels& levels, const Affine& start,
               const RangeDescent& options) {
  const torch::Tensor weight = slab.weight.to(torch::kCPU).contiguous();
  const torch::Tensor gram = slab.gram.to(torch::kCPU).to(torch::kFloat64).contiguous();
  const torch::Tensor kept =
      slab.kept.defined() ? slab.kept.to(torch::kCPU).contiguous() : slab.kept;
  const torch::Tensor zero = zero_of(start);
  torch::Tensor scales = start.scale.clone(), offsets = start.offset.clone();
  const std::int64_t n = weight.size(1);
  for (std::int64_t r = 0; r < weight.size(0); ++r) {
    const double scale = start.scale[r][0].item<double>();
    if (!(scale > 0)) continue;
    Row row(weight.data_ptr<float>() + r * n,
            kept.defined() ? kept.data_ptr<bool>() + r * n : nullptr, gram.data_ptr<double>(), n,
            levels);
    Point at{scale, zero[r][0].item<double>(), 0};
    at.error = row.error(at.scale, at.zero);
    at = descend_row(row, at, options);
    scales[r][0].fill_(at.scale);
    offsets[r][0].fill_(-at.scale * at.zero);
  }
  return {scales, offsets};
}

}  // namespace karat
