#include "grid/trellis/viterbi.h"

#include <algorithm>
#include <limits>

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kAround = 8;  // codes that a first pass reads around the seam, per bit of a state

}  // namespace

void Viterbi::search_all(const float* x, std::int64_t n, std::uint8_t* codes) const {
  const int bits = search_.bits();
  float least = kInfinity;
  unsigned best = 0;
  const auto code_at = [bits](unsigned stream) {
    return [bits, stream](std::int64_t t) { return stream >> t * bits & ((1u << bits) - 1); };
  };
  for (unsigned stream = 0; stream < 1u << n * bits; ++stream) {
    float cost = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      const float error = x[t] - search_.values()[trellis_state(t, n, bits, code_at(stream))];
      cost += error * error;
    }
    if (cost < least) best = stream;
    least = std::min(least, cost);
  }
  for (std::int64_t t = 0; t < n; ++t) codes[t] = static_cast<std::uint8_t>(code_at(best)(t));
}

void Viterbi::encode(const float* x, std::int64_t n, std::uint8_t* codes) {
  const int bits = search_.bits();
  if (n * bits <= kStateBits) return search_all(x, n, codes);
  const std::int64_t length = kAround * (search_.seam_bits() + bits), before = length / 2;
  float around[kAround * kStateBits];  // weights before the seam and after it
  for (std::int64_t i = 0; i < length; ++i) around[i] = x[(n - before % n + i) % n];
  std::uint8_t unused[kAround * kStateBits];
  const unsigned seam = search(around, length, kFree, before, unused);
  search(x, n, static_cast<int>(seam), 0, codes);
}

}  // namespace karat
