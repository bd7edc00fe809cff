#include "grid/shared/trellis_step.h"

#include <cstring>
#include <limits>
#include <utility>

#include "core/platform.h"

namespace karat {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

/// A step with `lanes` seams of each of `blocks` blocks in a register: one block, unless a block
/// has no more seams than that.
template <int bits, int lanes, int blocks = 1>
[[gnu::always_inline]] inline void step(std::int64_t seams, const float* from, const float* values,
                                        float x, float* to) {
  using Few [[gnu::vector_size(4 * lanes)]] = float;
  using Lanes [[gnu::vector_size(4 * lanes * blocks)]] = float;
  constexpr std::int64_t choices = 1 << bits, width = lanes * blocks;
  constexpr std::int64_t together = blocks > 1 ? kStepRegisters : 1;
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

int step_width(int most) {
  if (most >= 16 && has_avx512()) return 16;
  return most >= 8 && has_avx2() ? 8 : 4;
}

TrellisStep step_of(int width) {
  return width == 16 ? step_16 : width == 8 ? step_8 : step_4;
}

}  // namespace karat
