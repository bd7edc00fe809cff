#include "grid/column-trellis/step.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "core/platform.h"

namespace karat {
namespace {

/// What of the costs of seams has another unit where the costs of sums are wide.
constexpr int kWideShift = std::countr_zero(unsigned{kWideUnit});

/// The cost of a seam where those of sums are counted.
std::uint8_t before(std::uint8_t seam, bool wide) {
  return wide && seam < kMostCost ? seam >> kWideShift : seam;
}

/// What the least of a seam's costs makes its cost.
std::uint8_t after(std::uint8_t found, int least, bool wide) {
  const int shift = wide ? kWideShift : 0, cost = found - least;
  const bool most = found >= kMostCost || cost > kMostCost >> shift;
  return static_cast<std::uint8_t>(most ? kMostCost : cost << shift);
}

/// Costs [n] of the sums near + far.
void look_up(const SumCosts& costs, const std::uint8_t* near, int far, std::int64_t n,
             std::uint8_t* to) {
  if (costs.wide) {
    for (std::int64_t q = 0; q < n; ++q) to[q] = costs.cost[near[q] + far];
    return;
  }
  const auto lowest = static_cast<std::uint8_t>(costs.lowest - far);
  for (std::int64_t q = 0; q < n; ++q)
    to[q] = std::min<std::uint8_t>(static_cast<std::uint8_t>(near[q] - lowest), kNarrowSums);
  look_up_bytes(costs.cost, to, n);
}

void step_any(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
              std::uint8_t* to) {
  thread_local std::vector<std::uint8_t> best, some;
  const std::int64_t choices = std::int64_t{1} << sums.bits, between = sums.between;
  best.assign(static_cast<std::size_t>(choices * between), 255);
  some.resize(static_cast<std::size_t>(between));
  for (std::int64_t c = 0; c < choices; ++c)
    for (std::int64_t o = 0; o < choices; ++o) {
      look_up(costs, sums.near + c * between, sums.far[c * choices + o], between, some.data());
      for (std::int64_t q = 0; q < between; ++q)
        best[c * between + q] = std::min(
            best[c * between + q],
            static_cast<std::uint8_t>(before(from[o * between + q], costs.wide) + some[q]));
    }
  const int least = *std::ranges::min_element(best);
  for (std::int64_t q = 0; q < between; ++q)
    for (std::int64_t c = 0; c < choices; ++c)
      *to++ = after(best[c * between + q], least, costs.wide);
}

using Bytes [[gnu::vector_size(32)]] = std::uint8_t;
using LooseBytes [[gnu::vector_size(32), gnu::aligned(1), gnu::may_alias]] = std::uint8_t;

/// One instruction. GCC makes two stores of a memcpy to an array's element and one load of both,
/// which then waits for them.
[[gnu::always_inline]] inline void load(const std::uint8_t* from, Bytes& to) {
  to = *reinterpret_cast<const LooseBytes*>(from);
}
[[gnu::always_inline]] inline void take_least(const Bytes& other, Bytes& least) {
  least = other < least ? other : least;
}

/// to[q·2^bits + c] = after() of best[c][q], 32 of q. Two registers are interleaved as often as a
/// code has bits.
template <int bits, bool wide>
KARAT_FOR_AVX2 void interleave(const std::uint8_t* best, std::int64_t between, int least,
                               std::uint8_t* to) {
  constexpr int choices = 1 << bits, half = choices / 2;
  Bytes x[choices], y[choices];
  for (int c = 0; c < choices; ++c) {
    load(best + c * between, x[c]);
    constexpr int shift = wide ? kWideShift : 0;
    const Bytes cost = x[c] - static_cast<std::uint8_t>(least), most = Bytes{} + kMostCost;
    x[c] = x[c] >= most ? most : cost > (most >> shift) ? most : cost << shift;
  }
  for (int bit = 0; bit < bits; ++bit) {
    for (int i = 0; i < half; ++i) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + half], 0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5,
                                         37, 6, 38, 7, 39, 16, 48, 17, 49, 18, 50, 19, 51, 20, 52,
                                         21, 53, 22, 54, 23, 55);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + half], 8, 40, 9, 41, 10, 42, 11, 43, 12,
                                             44, 13, 45, 14, 46, 15, 47, 24, 56, 25, 57, 26, 58, 27,
                                             59, 28, 60, 29, 61, 30, 62, 31, 63);
    }
    for (int c = 0; c < choices; ++c) x[c] = y[c];
  }
  for (int c = 0; c < choices; ++c) {
    const auto* halves = reinterpret_cast<const std::uint8_t*>(&x[c]);
    std::memcpy(to + 16 * c, halves, 16);
    std::memcpy(to + 16 * (choices + c), halves + 16, 16);
  }
}

template <int bits, bool wide>
KARAT_FOR_AVX2 void step_avx2(const ColumnSums& sums, const SumCosts& costs,
                              const std::uint8_t* from, std::uint8_t* to) {
  constexpr std::int64_t choices = 1 << bits, kBlock = sizeof(Bytes);
  constexpr int tables = !wide ? 1 : bits == 5 ? 8 : 4;  // of 16 sums
  thread_local std::vector<std::uint8_t> memory;
  const std::int64_t between = sums.between;
  memory.resize(static_cast<std::size_t>(choices * between));
  std::uint8_t* const found = memory.data();
  Bytes table[tables], least = Bytes{} + 255;
  for (int t = 0; t < tables; ++t)
    for (int i = 0; i < 32; ++i) table[t][i] = costs.cost[16 * t + i % 16];
  for (std::int64_t c = 0; c < choices; ++c) {
    Bytes added[choices];
    for (std::int64_t o = 0; o < choices; ++o)
      added[o] = Bytes{} +
                 static_cast<std::uint8_t>(sums.far[c * choices + o] - (wide ? 0 : costs.lowest));
    for (std::int64_t q = 0; q < between; q += kBlock) {
      Bytes near, best = Bytes{} + 255;
      load(sums.near + c * between + q, near);
      for (std::int64_t o = 0; o < choices; ++o) {
        Bytes place = near + added[o], cost;
        load(from + o * between + q, cost);
        if constexpr (wide) {
          cost = cost == kMostCost ? cost : cost >> kWideShift;
          for (int t = 0; t < tables; ++t) {  // an index from 128 on gives 0
            const Bytes index = (place ^ static_cast<std::uint8_t>(16 * t)) + std::uint8_t{112};
            cost += KARAT_LOOK_UP_AVX2(table[t], index);
          }
        } else {
          take_least(Bytes{} + std::uint8_t{kNarrowSums}, place);
          cost += KARAT_LOOK_UP_AVX2(table[0], place);
        }
        take_least(cost, best);
      }
      take_least(best, least);
      std::memcpy(&found[c * between + q], &best, sizeof best);
    }
  }
  int least_of_all = least[0];
  for (int i = 1; i < 32; ++i) least_of_all = std::min<int>(least_of_all, least[i]);
  for (std::int64_t q = 0; q < between; q += kBlock)
    interleave<bits, wide>(&found[q], between, least_of_all, to + q * choices);
}

template <int bits>
KARAT_FOR_AVX2 void step_avx2(const ColumnSums& sums, const SumCosts& costs,
                              const std::uint8_t* from, std::uint8_t* to) {
  const auto step = costs.wide ? step_avx2<bits, true> : step_avx2<bits, false>;
  step(sums, costs, from, to);
}

void step_32(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
             std::uint8_t* to) {
  constexpr ColumnStep kSteps[] = {step_avx2<2>, step_avx2<3>, step_avx2<4>, step_avx2<5>};
  kSteps[sums.bits - 2](sums, costs, from, to);
}

}  // namespace

std::span<const ColumnStep> column_steps() {
  static constexpr ColumnStep kSteps[] = {step_any, step_32};
  return {kSteps, has_avx2() ? std::size(kSteps) : 1};
}

}  // namespace karat
