#include "grid/shared/closed_search.h"

#include <algorithm>
#include <limits>

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kMostBits = 16;  // of a state, and of sequences that are all tried
constexpr int kAround = 8;     // codes that a first pass reads around the seam, per bit of a state

/// The state of code t: its bits and those after it, around the end.
template <class CodeAt>
unsigned state_at(std::int64_t t, std::int64_t n, int bits, int state_bits, const CodeAt& code_at) {
  unsigned state = 0;
  for (int shift = 0; shift < state_bits; shift += bits, t = t + 1 == n ? 0 : t + 1)
    state |= static_cast<unsigned>(code_at(t)) << shift;
  return state & ((1u << state_bits) - 1);
}

}  // namespace

void ClosedSearch::search_all(const float* x, std::int64_t n, std::uint8_t* codes) const {
  const int bits = search_.bits(), state_bits = search_.seam_bits() + bits;
  float least = kInfinity;
  unsigned best = 0;
  const auto code_at = [bits](unsigned stream) {
    return [bits, stream](std::int64_t t) { return stream >> t * bits & ((1u << bits) - 1); };
  };
  for (unsigned stream = 0; stream < 1u << n * bits; ++stream) {
    float cost = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      const unsigned state = state_at(t, n, bits, state_bits, code_at(stream));
      const float error = x[t] - search_.values()[state];
      cost += error * error;
    }
    if (cost < least) best = stream;
    least = std::min(least, cost);
  }
  for (std::int64_t t = 0; t < n; ++t) codes[t] = static_cast<std::uint8_t>(code_at(best)(t));
}

void ClosedSearch::encode(const float* x, std::int64_t n, std::uint8_t* codes) {
  const int bits = search_.bits();
  if (n * bits <= kMostBits) return search_all(x, n, codes);
  const std::int64_t length = kAround * (search_.seam_bits() + bits), before = length / 2;
  float around[kAround * kMostBits];  // weights before the seam and after it
  for (std::int64_t i = 0; i < length; ++i) around[i] = x[(n - before % n + i) % n];
  std::uint8_t unused[kAround * kMostBits];
  const unsigned seam = search(around, length, kFree, before, unused);
  search(x, n, static_cast<int>(seam), 0, codes);
}

}  // namespace karat
