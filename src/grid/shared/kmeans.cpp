// On a line, clusters are intervals, so the best k of them are a shortest path: D_k(j) = min over i
// of D_{k−1}(i) + cost(i, j). The best i grows with j (the cost is a quadrangle-inequality one), so
// each layer is solved by divide and conquer: Wang and Song, Ckmeans.1d.dp, R Journal 3(2), 2011.
#include "grid/shared/kmeans.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace karat {
namespace {

class Clusters {
 public:
  Clusters(std::span<const float> points, std::span<const float> weights) : points_(points) {
    const std::size_t n = points.size();
    const bool equal = std::ranges::all_of(weights, [](float w) { return w == 0; });
    double sum = 0;  // moving the origin to the middle keeps the differences below exact enough
    for (const float point : points) sum += point;
    origin_ = n > 0 ? sum / static_cast<double>(n) : 0;
    sums_.resize(n + 1);
    for (std::size_t i = 0; i < n; ++i) {
      const double w = equal ? 1 : weights[i], x = points[i] - origin_;
      sums_[i + 1] = {sums_[i].weight + w, sums_[i].first + w * x, sums_[i].second + w * x * x};
    }
  }

  std::vector<float> centres(int k) {
    const auto n = static_cast<std::int32_t>(sums_.size()) - 1;
    std::vector<std::vector<std::int32_t>> starts;  // [cluster][end]: where the cluster begins
    best_.resize(sums_.size());
    for (std::int32_t j = 0; j <= n; ++j) best_[static_cast<std::size_t>(j)] = cost(0, j);
    for (int cluster = 1; cluster < k; ++cluster) {
      before_ = best_;
      starts.emplace_back(sums_.size(), 0);
      solve(starts.back(), 0, n, 0, n);
    }
    std::vector<float> result;
    std::int32_t end = n;
    for (int cluster = k - 1; cluster >= 0; --cluster) {
      const std::int32_t begin =
          cluster == 0 ? 0 : starts[static_cast<std::size_t>(cluster) - 1][end];
      if (end > begin) result.push_back(centre(begin, end));
      end = begin;
    }
    std::ranges::reverse(result);
    result.resize(static_cast<std::size_t>(k), result.empty() ? 0 : result.back());
    return result;
  }

 private:
  struct Sums {
    double weight = 0, first = 0, second = 0;
  };

  /// Of points [i, j) around their mean.
  double cost(std::int32_t i, std::int32_t j) const {
    const Sums &a = sums_[static_cast<std::size_t>(i)], &b = sums_[static_cast<std::size_t>(j)];
    const double weight = b.weight - a.weight, first = b.first - a.first;
    return weight > 0 ? std::max(0.0, b.second - a.second - first * first / weight) : 0;
  }
  float centre(std::int32_t i, std::int32_t j) const {
    const Sums &a = sums_[static_cast<std::size_t>(i)], &b = sums_[static_cast<std::size_t>(j)];
    const double weight = b.weight - a.weight;
    return weight > 0 ? static_cast<float>(origin_ + (b.first - a.first) / weight)
                      : points_[static_cast<std::size_t>(i)];
  }

  /// best_[j] and start[j] for j in [low, high], their starts known to lie in [from, to].
  void solve(std::vector<std::int32_t>& start, std::int32_t low, std::int32_t high,
             std::int32_t from, std::int32_t to) {
    if (low > high) return;
    const std::int32_t j = low + (high - low) / 2;
    double least = std::numeric_limits<double>::infinity();
    std::int32_t at = from;
    for (std::int32_t i = from; i <= std::min(j, to); ++i) {
      const double now = before_[static_cast<std::size_t>(i)] + cost(i, j);
      if (now < least) {
        least = now;
        at = i;
      }
    }
    best_[static_cast<std::size_t>(j)] = least;
    start[static_cast<std::size_t>(j)] = at;
    solve(start, low, j - 1, from, at);
    solve(start, j + 1, high, at, to);
  }

  std::span<const float> points_;
  double origin_ = 0;
  std::vector<Sums> sums_;
  std::vector<double> before_, best_;
};

}  // namespace

std::vector<float> kmeans(std::span<const float> points, std::span<const float> weights, int k) {
  return Clusters(points, weights).centres(k);
}

}  // namespace karat
