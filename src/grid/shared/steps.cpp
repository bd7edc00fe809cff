#include "grid/shared/steps.h"

#include <algorithm>
#include <limits>

namespace karat {

Steps::Steps(std::span<const float> levels) : begins_(levels.size() + 1, 0) {
  for (std::size_t k = 1; k < levels.size(); ++k)
    middles_.push_back((static_cast<double>(levels[k - 1]) + levels[k]) / 2);
}

void Steps::begin(std::span<const double> sorted) {
  sorted_.assign(sorted.begin(), sorted.end());
  sorted_.push_back(std::numeric_limits<double>::infinity());
  std::ranges::fill(begins_, 0);
  begins_.back() = static_cast<std::int32_t>(sorted.size());
  const std::size_t buckets = 2 * sorted.size();
  const double span = sorted.empty() ? 0 : sorted.back() - sorted.front();
  buckets_per_unit_ = static_cast<double>(buckets) / std::max(span, 1e-300);
  bucket_begins_.assign(buckets + 2, 0);
  for (const double x : sorted) ++bucket_begins_[bucket(x) + 1];
  for (std::size_t i = 1; i < bucket_begins_.size(); ++i)
    bucket_begins_[i] += bucket_begins_[i - 1];
}

bool Steps::follow(double scale, double zero) {
  bool moved = false;
  for (std::size_t k = 0; k < middles_.size(); ++k) {
    const std::int32_t at = count_up_to(scale * (middles_[k] - zero));
    moved |= at != begins_[k + 1];
    begins_[k + 1] = at;
  }
  return moved;
}

/// Grows with x, so that numbers of lower buckets are lower.
std::size_t Steps::bucket(double x) const {
  const double at = (x - sorted_[0]) * buckets_per_unit_;
  const auto last = static_cast<double>(bucket_begins_.size() - 2);
  return static_cast<std::size_t>(static_cast<std::int64_t>(at > 0 ? std::min(at, last) : 0.0));
}

/// A bucket seldom holds more than two, and counting those takes no branch.
std::int32_t Steps::count_up_to(double x) const {
  const std::size_t slice = bucket(x);
  std::int32_t at = bucket_begins_[slice];
  at += sorted_[static_cast<std::size_t>(at)] <= x ? 1 : 0;
  at += sorted_[static_cast<std::size_t>(at)] <= x ? 1 : 0;
  if (sorted_[static_cast<std::size_t>(at)] > x) return at;
  const auto end = sorted_.begin() + bucket_begins_[slice + 1];
  return static_cast<std::int32_t>(std::upper_bound(sorted_.begin() + at, end, x) -
                                   sorted_.begin());
}

}  // namespace karat
