// On a line, clusters are intervals, so the best k of them are a shortest path: D_k(j) = min over i
// of D_{k−1}(i) + cost(i, j). The best i grows with j (the cost is a quadrangle-inequality one), so
// each layer is solved by divide and conquer: Wang and Song, Ckmeans.1d.dp, R Journal 3(2), 2011.
// For the same reason it grows with k, which narrows the search further. Equal points never need
// two centres: rows of BF16 models hold a few hundred distinct weights.
#include "grid/shared/kmeans.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace karat {
namespace {

constexpr double kTiny = 1e-300;

class Clusters {
 public:
  Clusters(std::span<const float> points, std::span<const float> weights) {
    const bool equal = std::ranges::all_of(weights, [](float w) { return w == 0; });
    double sum = 0;  // moving the origin to the middle keeps the differences below exact enough
    for (const float point : points) sum += point;
    origin_ = points.empty() ? 0 : sum / static_cast<double>(points.size());
    Prefix now;
    prefix_.reserve(points.size() + 1);
    prefix_.push_back(now);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const double w = equal ? 1 : weights[i], x = points[i] - origin_;
      if (w == 0) continue;
      now.weight += w, now.first += w * x, now.second += w * x * x;
      const bool repeated = !points_.empty() && points_.back() == points[i];
      if (!repeated) points_.push_back(points[i]);
      prefix_.resize(points_.size());
      prefix_.push_back(now);
    }
  }

  std::vector<float> centres(int k) {
    const auto n = static_cast<std::int32_t>(prefix_.size()) - 1;
    std::vector<std::int32_t> ends(static_cast<std::size_t>(std::min(k, n)));  // of the clusters
    if (k < n) {
      ends = cuts(n, k);
    } else {
      for (std::size_t i = 0; i < ends.size(); ++i) ends[i] = static_cast<std::int32_t>(i) + 1;
    }
    std::vector<float> result;
    for (std::int32_t begin = 0; const std::int32_t end : ends) {
      result.push_back(centre(begin, end));
      begin = end;
    }
    result.resize(static_cast<std::size_t>(k), result.empty() ? 0 : result.back());
    return result;
  }

 private:
  /// Of the points before the i-th, relative to the origin; `best`: the least cost of clustering
  /// them with one centre less than the layer at hand.
  struct Prefix {
    double weight = 0, first = 0, second = 0, best = 0;
  };

  /// Where each of k < n clusters ends.
  std::vector<std::int32_t> cuts(std::int32_t n, int k) {
    const auto width = static_cast<std::size_t>(n) + 1;
    std::vector<std::int32_t> starts(width * static_cast<std::size_t>(k));  // [clusters − 1][end]
    found_.assign(width, 0);
    for (std::int32_t j = 0; j <= n; ++j) found_[static_cast<std::size_t>(j)] = cost(0, j);
    for (std::int32_t before = 1; before < k; ++before) {
      for (std::size_t j = 0; j < width; ++j) prefix_[j].best = found_[j];
      start_ = &starts[width * static_cast<std::size_t>(before)];
      earlier_ = start_ - width;
      const bool last = before == k - 1;  // of which only the whole matters
      solve(last ? n : before + 1, n - (k - 1 - before), before, n - 1);
    }
    std::vector<std::int32_t> ends(static_cast<std::size_t>(k), n);
    for (std::size_t i = ends.size() - 1; i > 0; --i)
      ends[i - 1] = starts[width * i + static_cast<std::size_t>(ends[i])];
    return ends;
  }

  /// Of points [i, j) around their mean. Weights below the rounding of the sums cost nothing.
  double cost(std::int32_t i, std::int32_t j) const {
    const Prefix &a = prefix_[static_cast<std::size_t>(i)],
                 &b = prefix_[static_cast<std::size_t>(j)];
    const double first = b.first - a.first;
    return std::max(0.0, b.second - a.second - first * first / (b.weight - a.weight + kTiny));
  }
  float centre(std::int32_t i, std::int32_t j) const {
    const Prefix &a = prefix_[static_cast<std::size_t>(i)],
                 &b = prefix_[static_cast<std::size_t>(j)];
    const double mean = origin_ + (b.first - a.first) / (b.weight - a.weight + kTiny);
    return static_cast<float>(std::clamp<double>(mean, points_[static_cast<std::size_t>(i)],
                                                 points_[static_cast<std::size_t>(j) - 1]));
  }

  /// The last cluster's start in the best clustering of the first j points, for j in [low, high];
  /// those starts are known to lie in [from, to]. No cluster is empty.
  void solve(std::int32_t low, std::int32_t high, std::int32_t from, std::int32_t to) {
    while (low <= high) {
      const std::int32_t j = low + (high - low) / 2;
      double least = std::numeric_limits<double>::infinity();
      const std::int32_t end = std::min(to, j - 1);
      std::int32_t at = std::min(std::max(from, earlier_[j]), end);
      for (std::int32_t i = at; i <= end; ++i) {
        const double now = prefix_[static_cast<std::size_t>(i)].best + cost(i, j);
        at = now < least ? i : at;
        least = std::min(now, least);
      }
      found_[static_cast<std::size_t>(j)] = least;
      start_[j] = at;
      solve(low, j - 1, from, at);
      low = j + 1;
      from = at;
    }
  }

  double origin_ = 0;
  std::vector<float> points_;  // distinct
  std::vector<Prefix> prefix_;
  std::vector<double> found_;              // of the layer at hand
  std::int32_t* start_ = nullptr;          // likewise
  const std::int32_t* earlier_ = nullptr;  // with one cluster less
};

}  // namespace

std::vector<float> kmeans(std::span<const float> points, std::span<const float> weights, int k) {
  return Clusters(points, weights).centres(k);
}

}  // namespace karat
