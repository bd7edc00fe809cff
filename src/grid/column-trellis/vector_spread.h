// The beginning of a step, 32 bytes at a time: the costs of seams in the order in which they are
// compared. Included by vector_step.h.
#pragma once

#include <cstdint>

#include "grid/column-trellis/step.h"

namespace karat {
namespace {

using Bytes [[gnu::vector_size(32)]] = std::uint8_t;
using LooseBytes [[gnu::vector_size(32), gnu::aligned(1), gnu::may_alias]] = std::uint8_t;

/// One instruction. GCC makes two stores of a memcpy to an array's element and one load of both,
/// which then waits for them.
[[gnu::always_inline]] inline void load(const std::uint8_t* from, Bytes& to) {
  to = *reinterpret_cast<const LooseBytes*>(from);
}
[[gnu::always_inline]] inline void load_halves(const std::uint8_t* low, const std::uint8_t* high,
                                               Bytes& to) {
  using Half [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = std::uint8_t;
  const Half &a = *reinterpret_cast<const Half*>(low), &b = *reinterpret_cast<const Half*>(high);
  to = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
                               18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
}
[[gnu::always_inline]] inline void store(const Bytes& from, std::uint8_t* to) {
  *reinterpret_cast<LooseBytes*>(to) = from;
}
[[gnu::always_inline]] inline void take_least(const Bytes& other, Bytes& least) {
  least = other < least ? other : least;
}

/// What a step knows of codes beforehand. near[c][q] is that of c % kinds at q ^ (c / kinds ·
/// shift), so that costs looked up for a few c serve all; with 3 bits if blocks of 8 q are
/// exchanged first (see skewed).
struct ColumnShape {
  int between, kinds, shift;
  bool skewed;
  int tables;  // of 16 sums
  int equal;   // neighbours in far that are the same
};
constexpr ColumnShape kShapes[] = {{1024, 1, 64, false, 4, 1},
                                   {512, 2, 64, true, 4, 1},
                                   {256, 2, 32, false, 4, 1},
                                   {32, 32, 0, false, 8, 2}};
constexpr int kBlock = sizeof(Bytes), kMostSeams = 4096;

/// x, 32 from q on, with blocks of 8 exchanged: the one of each 64 whose number is n becomes
/// number n ^ (q / 64 % 4). It is its own inverse.
[[gnu::always_inline]] inline void skew(int q, Bytes& x) {
  using Eights [[gnu::vector_size(32)]] = std::uint64_t;
  const auto y = reinterpret_cast<Eights>(x);
  switch (q / 64 % 4) {
    case 1:
      x = reinterpret_cast<Bytes>(__builtin_shufflevector(y, y, 1, 0, 3, 2));
      break;
    case 2:
      x = reinterpret_cast<Bytes>(__builtin_shufflevector(y, y, 2, 3, 0, 1));
      break;
    case 3:
      x = reinterpret_cast<Bytes>(__builtin_shufflevector(y, y, 3, 2, 1, 0));
      break;
    default:
      break;
  }
}

/// to[o][q] = from[q][o] in the unit of the costs of sums, the least of those o that are equal in
/// far. Two registers are interleaved as often as a lane's number has bits.
template <int bits, bool wide>
KARAT_STEP_TARGET void spread(const std::uint8_t* from, std::uint8_t* to) {
  constexpr ColumnShape shape = kShapes[bits - 2];
  constexpr int choices = 1 << bits, half = choices / 2;
  for (int q = 0; q < shape.between; q += kBlock, from += kBlock * choices) {
    Bytes x[choices], y[choices];
#pragma GCC unroll 32
    for (int r = 0; r < choices; ++r) load_halves(from + 16 * r, from + 16 * (choices + r), x[r]);
#pragma GCC unroll 4
    for (int bit = 0; bit < 4; ++bit) {
#pragma GCC unroll 16
      for (int i = 0; i < half; ++i) {
        const Bytes a = x[i], b = x[i + half];
        y[2 * i] =
            __builtin_shufflevector(a, b, 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39,
                                    16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55);
        y[2 * i + 1] = __builtin_shufflevector(a, b, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45,
                                               14, 46, 15, 47, 24, 56, 25, 57, 26, 58, 27, 59, 28,
                                               60, 29, 61, 30, 62, 31, 63);
      }
#pragma GCC unroll 32
      for (int r = 0; r < choices; ++r) x[r] = y[r];
    }
#pragma GCC unroll 32
    for (int o = 0; o < choices / shape.equal; ++o) {
      Bytes cost = x[o * shape.equal];
      if constexpr (shape.equal == 2) take_least(x[2 * o + 1], cost);
      if constexpr (shape.skewed) skew(q, cost);
      if constexpr (wide) cost = cost == kMostCost ? cost : cost >> kWideShift;
      store(cost, to + o * shape.between + q);
    }
  }
}

}  // namespace
}  // namespace karat
