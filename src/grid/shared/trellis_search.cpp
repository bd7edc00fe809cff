#include "grid/shared/trellis_search.h"

#include <algorithm>
#include <limits>

#include "grid/shared/trellis_step.h"

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TrellisSearch::TrellisSearch(const float* values, int state_bits, int bits, int most_lanes)
    : bits_(bits),
      seam_bits_(state_bits - bits),
      width_(step_width(most_lanes)),
      values_(values) {
  for_states(bits, std::int64_t{1} << seam_bits_, width_,
             [&](std::int64_t seam, std::int64_t choice) {
               ordered_.push_back(values_[seam << bits_ | choice]);
             });
}

unsigned TrellisSearch::search(const float* x, std::int64_t n, int first, int last, std::int64_t at,
                               std::uint8_t* codes) {
  const std::int64_t count = std::int64_t{1} << seam_bits_;
  const auto costs = [&](std::int64_t t) { return costs_.data() + t * count; };
  costs_.resize(std::max(costs_.size(), static_cast<std::size_t>((n + 1) * count)));
  std::fill_n(costs(0), count, first == kFree ? 0 : kInfinity);
  if (first != kFree) costs(0)[first] = 0;
  const TrellisStep step = step_of(width_);
  for (std::int64_t t = 0; t < n; ++t)
    step(bits_, count, costs(t), ordered_.data(), x[t], costs(t + 1));

  std::int64_t now = last != kFree ? last : std::min_element(costs(n), costs(n) + count) - costs(n);
  std::int64_t found = now;
  for (std::int64_t t = n - 1; t >= 0; --t) {
    float least = kInfinity;
    std::int64_t best = now << bits_;
    for (std::int64_t state = now << bits_; state < (now + 1) << bits_; ++state) {
      const float error = x[t] - values_[state];
      const float cost = costs(t)[state % count] + error * error;
      if (cost < least) best = state;
      least = std::min(least, cost);
    }
    codes[t] = static_cast<std::uint8_t>(best & ((1 << bits_) - 1));
    now = best % count;
    if (t == at) found = now;
  }
  return static_cast<unsigned>(found);
}

}  // namespace karat
