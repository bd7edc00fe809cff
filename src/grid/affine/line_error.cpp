#include "grid/affine/line_error.h"

#include <algorithm>
#include <cmath>

namespace karat {
LineError::LineError(const Levels& levels, std::span<const float> weight,
                     std::span<const float> cost)
    : levels_(levels),
      weight_(weight),
      cost_(cost),
      steps_(levels.integers ? std::span<const float>() : levels.values) {
  if (levels.integers) return;
  std::vector<std::pair<float, float>> pairs;
  for (std::size_t i = 0; i < weight.size(); ++i) pairs.emplace_back(weight[i], cost[i]);
  std::ranges::sort(pairs);
  std::vector<double> sorted;
  Moments sum;
  before_.push_back(sum);
  for (const auto& [w, c] : pairs) {
    sorted.push_back(w);
    sum.add(w, 0, c);
    before_.push_back(sum);
  }
  steps_.begin(sorted);
}

std::array<double, LineError::kLanes> LineError::of(std::span<const Line> lines) {
  std::array<double, kLanes> errors{};
  if (levels_.integers) errors = even(lines);
  for (std::size_t k = 0; k < lines.size(); ++k) {
    const double s = lines[k].scale, z = lines[k].zero;
    if (!(s > 0) || !std::isfinite(z)) {
      errors[k] = INFINITY;
    } else if (!levels_.integers) {
      const Moments m = moments(lines[k]);
      errors[k] = s * s * (m.vv - 2 * z * m.v + z * z * m.one) - 2 * s * (m.vw - z * m.w) + m.ww;
    }
  }
  return errors;
}

Line LineError::regress(const Line& line) {
  const Moments m = levels_.integers ? even_moments(line) : moments(line);
  const double level = m.v / m.one, weight = m.w / m.one;
  const double scale = (m.vw - level * m.w) / (m.vv - level * m.v);
  return {scale, level - weight / scale};
}

std::array<double, LineError::kLanes> LineError::even(std::span<const Line> lines) const {
  // The compiler's own vectors, a line in each lane: left alone it does not find them here.
  using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));
  // Adding and subtracting this rounds to the nearest integer, the even one on a tie.
  constexpr float kRound = 0x1.8p23f;
  Vector inverse = {}, zero = {}, sum = {};
  for (std::size_t k = 0; k < lines.size(); ++k) {
    inverse[k] = static_cast<float>(1 / lines[k].scale);
    zero[k] = static_cast<float>(lines[k].zero);
  }
  const Vector bottom = {}, top = bottom + levels_.values.back();
  for (std::size_t i = 0; i < weight_.size(); ++i) {
    const Vector position = weight_[i] * inverse + zero;
    const Vector above = position > bottom ? position : bottom;
    const Vector inside = above < top ? above : top;
    const Vector wrong = (inside + kRound) - kRound - position;
    sum += cost_[i] * (wrong * wrong);
  }
  std::array<double, kLanes> errors{};
  for (std::size_t k = 0; k < lines.size(); ++k)
    errors[k] = std::isfinite(sum[k]) ? sum[k] * lines[k].scale * lines[k].scale : INFINITY;
  return errors;
}

LineError::Moments LineError::even_moments(const Line& line) const {
  constexpr double kRound = 0x1.8p52;  // as above
  const double inverse = 1 / line.scale, top = levels_.values.back();
  Moments sum;
  for (std::size_t i = 0; i < weight_.size(); ++i) {
    const double position = weight_[i] * inverse + line.zero;
    sum.add(weight_[i], (std::clamp(position, 0.0, top) + kRound) - kRound, cost_[i]);
  }
  return sum;
}

LineError::Moments LineError::moments(const Line& line) {
  steps_.follow(line.scale, line.zero);
  Moments sum = before_.back();
  for (std::size_t k = 0; k < levels_.values.size(); ++k) {
    const auto begin = static_cast<std::size_t>(steps_.begins()[k]);
    const auto end = static_cast<std::size_t>(steps_.begins()[k + 1]);
    const double level = levels_.values[k];
    const double one = before_[end].one - before_[begin].one;
    sum.v += level * one, sum.vv += level * level * one;
    sum.vw += level * (before_[end].w - before_[begin].w);
  }
  return sum;
}

}  // namespace karat
