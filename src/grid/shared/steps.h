// The codes of ascending numbers under one line after another.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace karat {

/// Ascending numbers take ascending codes, so the codes are known by the places where they rise,
/// and sums over the numbers of one code are differences of prefix sums.
class Steps {
 public:
  /// Levels ascend.
  explicit Steps(std::span<const float> levels);
  /// The numbers to come, ascending; all have the highest code before the first follow().
  void begin(std::span<const double> sorted);

  /// To the nearest levels on the line scale·(level − zero), scale > 0, the lower one on a tie.
  /// Whether a code changed.
  bool follow(double scale, double zero);

  /// Numbers [begins[k], begins[k + 1]) have code k; levels + 1 entries.
  const std::vector<std::int32_t>& begins() const { return begins_; }

 private:
  std::size_t bucket(double x) const;
  std::int32_t count_up_to(double x) const;

  std::vector<double> middles_;
  std::vector<double> sorted_;  // and one beyond all
  std::vector<std::int32_t> begins_;
  std::vector<std::int32_t> bucket_begins_;  // of equal slices of the range
  double buckets_per_unit_ = 0;
};

}  // namespace karat
