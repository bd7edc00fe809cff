#include "grid/trellis/viterbi.h"

#include <algorithm>
#include <limits>

#include "grid/trellis/step.h"

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kAround = 8;  // codes that a first pass reads around the seam, per bit of a state

}  // namespace

Viterbi::Viterbi(TrellisCode code, int bits, int most_lanes)
    : bits_(bits),
      seam_bits_(value_bits(code) - bits),
      width_(step_width(most_lanes)),
      values_(trellis_values(code)) {
  for_states(bits, std::int64_t{1} << seam_bits_, width_,
             [&](std::int64_t seam, std::int64_t choice) {
               ordered_.push_back(values_[seam << bits_ | choice]);
             });
}

unsigned Viterbi::search(const float* x, std::int64_t n, int seam, std::int64_t at,
                         std::uint8_t* codes) {
  const std::int64_t count = std::int64_t{1} << seam_bits_;
  const auto costs = [&](std::int64_t t) { return costs_.data() + t * count; };
  costs_.resize(std::max(costs_.size(), static_cast<std::size_t>((n + 1) * count)));
  std::fill_n(costs(0), count, seam == kFree ? 0 : kInfinity);
  if (seam != kFree) costs(0)[seam] = 0;
  const TrellisStep step = step_of(width_);
  for (std::int64_t t = 0; t < n; ++t)
    step(bits_, count, costs(t), ordered_.data(), x[t], costs(t + 1));

  std::int64_t now = seam != kFree ? seam : std::min_element(costs(n), costs(n) + count) - costs(n);
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

void Viterbi::search_all(const float* x, std::int64_t n, std::uint8_t* codes) const {
  float least = kInfinity;
  unsigned best = 0;
  const auto code_at = [this](unsigned stream) {
    return [this, stream](std::int64_t t) { return stream >> t * bits_ & ((1u << bits_) - 1); };
  };
  for (unsigned stream = 0; stream < 1u << n * bits_; ++stream) {
    float cost = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      const float error = x[t] - values_[trellis_state(t, n, bits_, code_at(stream))];
      cost += error * error;
    }
    if (cost < least) best = stream;
    least = std::min(least, cost);
  }
  for (std::int64_t t = 0; t < n; ++t) codes[t] = static_cast<std::uint8_t>(code_at(best)(t));
}

void Viterbi::encode(const float* x, std::int64_t n, std::uint8_t* codes) {
  if (n * bits_ <= kStateBits) return search_all(x, n, codes);
  const std::int64_t length = kAround * (seam_bits_ + bits_), before = length / 2;
  float around[kAround * kStateBits];  // weights before the seam and after it
  for (std::int64_t i = 0; i < length; ++i) around[i] = x[(n - before % n + i) % n];
  std::uint8_t unused[kAround * kStateBits];
  const unsigned seam = search(around, length, kFree, before, unused);
  search(x, n, static_cast<int>(seam), 0, codes);
}

}  // namespace karat
