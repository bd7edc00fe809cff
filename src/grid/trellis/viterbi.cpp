#include "grid/trellis/viterbi.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "core/platform.h"

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kAround = 8;  // codes that a first pass reads around the seam, per bit of a state

/// Numbers in a vector register.
int width_of(int most) {
  if (most >= 16 && has_avx512()) return 16;
  return most >= 8 && has_avx2() ? 8 : 4;
}

/// Registers of best costs that a step holds: with few seams a block they hold several blocks each,
/// and then the costs before are read once for all.
constexpr int kTogether = 8;

/// Calls body(seam, choice) in the order that a step meets the states seam·2^bits + choice. Seams
/// seam + block·share have the same predecessors; as many of them go together as a register holds,
/// and where they are fewer, those of the next blocks with them.
void for_states(int bits, std::int64_t seams, int width, const auto& body) {
  const std::int64_t choices = std::int64_t{1} << bits, share = seams / choices;
  const std::int64_t lanes = std::min<std::int64_t>(share, width), blocks = width / lanes;
  const std::int64_t together = blocks * (share < width ? kTogether : 1);
  for (std::int64_t first = 0; first < share; first += lanes)
    for (std::int64_t block = 0; block < choices; block += together)
      for (std::int64_t choice = 0; choice < choices; ++choice)
        for (std::int64_t i = 0; i < together * lanes; ++i)
          body((block + i / lanes) * share + first + i % lanes, choice);
}

/// Every second number of two registers, the first or the second of each pair.
template <int which, class Lanes, std::size_t... pair>
[[gnu::always_inline]] inline void every_second(const Lanes* from, Lanes& to,
                                                std::index_sequence<pair...>) {
  to = __builtin_shufflevector(from[0], from[1], static_cast<int>(which + 2 * pair)...);
}

/// A square of four rows, `step` numbers apart, to columns.
template <class Four>
[[gnu::always_inline]] inline void transpose(const float* from, std::int64_t step, Four* to) {
  Four row[4];
  for (std::int64_t r = 0; r < 4; ++r) std::memcpy(&row[r], from + r * step, sizeof row[r]);
  const Four a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5),
             b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
             c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7),
             d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  to[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  to[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  to[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  to[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/// to[c][lane] = from[lane·2^bits + c]. Dealing all numbers into the even and the odd ones, as
/// often as an index has bits, leaves them so.
template <int bits, int lanes, class Lanes>
[[gnu::always_inline]] inline void deal(const float* from, Lanes* to) {
  constexpr std::make_index_sequence<lanes> pairs;
  constexpr int half = 1 << (bits - 1);
  if constexpr (lanes == 4) {
    for (std::int64_t c = 0; c < 2 * half; c += 4) transpose(from + c, 2 * half, to + c);
    return;
  }
  std::memcpy(to, from, 2 * half * sizeof(Lanes));
  for (int bit = 0; bit < bits; ++bit) {
    Lanes dealt[2 * half];
    for (int i = 0; i < half; ++i) {
      every_second<0>(to + 2 * i, dealt[i], pairs);
      every_second<1>(to + 2 * i, dealt[half + i], pairs);
    }
    for (int i = 0; i < 2 * half; ++i) to[i] = dealt[i];
  }
}

/// The register as often as it fits into a wider one.
template <class Wide, class Lanes, std::size_t... at>
[[gnu::always_inline]] inline void repeat(const Lanes& lanes, Wide& to,
                                          std::index_sequence<at...>) {
  constexpr std::size_t count = sizeof(Lanes) / sizeof(float);
  to = __builtin_shufflevector(lanes, lanes, static_cast<int>(at % count)...);
}

/// One weight x: to[seam] = least of from[s mod seams] + (x − value[s])² over the states s that end
/// in it, s = seam·2^bits + choice. `values` are in the order of for_states: `lanes` seams of each
/// of `blocks` blocks, one block unless it has no more seams than that.
template <int bits, int lanes, int blocks = 1>
[[gnu::always_inline]] inline void step(std::int64_t seams, const float* from, const float* values,
                                        float x, float* to) {
  using Few [[gnu::vector_size(4 * lanes)]] = float;
  using Lanes [[gnu::vector_size(4 * lanes * blocks)]] = float;
  constexpr std::int64_t choices = 1 << bits, width = lanes * blocks;
  constexpr std::int64_t together = blocks > 1 ? kTogether : 1;
  constexpr std::make_index_sequence<width> all;
  const std::int64_t share = seams / choices;
  for (std::int64_t first = 0; first < share; first += lanes) {
    Few few[choices];
    deal<bits, lanes>(from + first * choices, few);
    for (std::int64_t block = 0; block < choices; block += blocks * together) {
      Lanes best[together];
      for (Lanes& one : best) one = Lanes{} + kInfinity;
      for (std::int64_t c = 0; c < choices; ++c) {
        Lanes before;
        repeat(few[c], before, all);
        for (Lanes& one : best) {
          Lanes error;
          std::memcpy(&error, values, sizeof error);
          error -= x;
          const Lanes cost = before + error * error;
          one = cost < one ? cost : one;
          values += width;
        }
      }
      std::memcpy(to + block * share + first, best, sizeof best);
    }
  }
}

template <int width>
[[gnu::always_inline]] inline void step(int bits, std::int64_t seams, const float* from,
                                        const float* values, float x, float* to) {
  if (bits == 2) return step<2, width>(seams, from, values, x, to);
  if (bits == 3) return step<3, width>(seams, from, values, x, to);
  if (bits == 4) return step<4, width>(seams, from, values, x, to);
  if (seams >> bits >= width) return step<5, width>(seams, from, values, x, to);
  step<5, 4, width / 4>(seams, from, values, x, to);  // 2^12 states: four seams a block
}

KARAT_FOR_AVX512 void step_16(int bits, std::int64_t seams, const float* from, const float* values,
                              float x, float* to) {
  step<16>(bits, seams, from, values, x, to);
}

KARAT_FOR_AVX2 void step_8(int bits, std::int64_t seams, const float* from, const float* values,
                           float x, float* to) {
  step<8>(bits, seams, from, values, x, to);
}

void step_4(int bits, std::int64_t seams, const float* from, const float* values, float x,
            float* to) {
  step<4>(bits, seams, from, values, x, to);
}

}  // namespace

Viterbi::Viterbi(TrellisCode code, int bits, int most_lanes)
    : bits_(bits),
      seam_bits_(value_bits(code) - bits),
      width_(width_of(most_lanes)),
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
  const auto step = width_ == 16 ? step_16 : width_ == 8 ? step_8 : step_4;
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
