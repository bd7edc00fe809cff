// The vector twin of a step, 32 bytes at a time, compiled once for each instruction set: the file
// that includes it has defined KARAT_STEP_TARGET, what goes before its functions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/platform.h"
#include "grid/column-trellis/step.h"
#include "grid/column-trellis/vector_spread.h"

namespace karat {
namespace {

/// to[i][q] = the cost of near[q] + far[i · equal ^ kind].
template <int bits, bool wide>
KARAT_STEP_TARGET void look_up_all(const ColumnSums& sums, const SumCosts& costs, int kind,
                                   std::uint8_t* to) {
  constexpr ColumnShape shape = kShapes[bits - 2];
  constexpr int tables = wide ? shape.tables : 1;
  Bytes table[tables];
  for (int t = 0; t < tables; ++t) load_halves(costs.cost + 16 * t, costs.cost + 16 * t, table[t]);
  for (int q = 0; q < shape.between; q += kBlock) {
    Bytes near;
    load(sums.near + kind * shape.between + q, near);
    if constexpr (shape.skewed) skew(q, near);
    if constexpr (!wide) near -= static_cast<std::uint8_t>(costs.lowest);
    for (int i = 0; i < (1 << bits) / shape.equal; ++i) {
      Bytes place = near + sums.far[i * shape.equal ^ kind], cost{};
      if constexpr (wide) {
        for (int t = 0; t < tables; ++t)  // an index from 128 on gives 0
          cost += KARAT_LOOK_UP_AVX2(
              table[t], (place ^ static_cast<std::uint8_t>(16 * t)) + std::uint8_t{112});
      } else {
        take_least(Bytes{} + std::uint8_t{kNarrowSums}, place);
        cost = KARAT_LOOK_UP_AVX2(table[0], place);
      }
      store(cost, to + i * shape.between + q);
    }
  }
}

/// to[c][q] = the least of from[o][q] + the cost of near[c][q] + far[c ^ o] over all o, for all c
/// of a kind; `costs` is what look_up_all made.
template <int bits>
KARAT_STEP_TARGET void take_best(const std::uint8_t* from, const std::uint8_t* costs, int kind,
                                 std::uint8_t* to, Bytes& least_of_all) {
  constexpr ColumnShape shape = kShapes[bits - 2];
  constexpr int together = (1 << bits) / shape.kinds, between = shape.between;
  Bytes lowest = least_of_all;
  for (int q = 0; q < between; q += kBlock) {
    Bytes least[together];
    const std::uint8_t* row[together];
#pragma GCC unroll 8
    for (int j = 0; j < together; ++j) {
      least[j] = Bytes{} + 255;
      row[j] = costs + (q ^ j * shape.shift);
    }
#pragma GCC unroll 16
    for (int o = 0; o < (1 << bits) / shape.equal; ++o) {
      Bytes before;
      load(from + o * between + q, before);
#pragma GCC unroll 8
      for (int j = 0; j < together; ++j) {
        Bytes cost;
        load(row[j] + (o ^ j * shape.kinds / shape.equal) * between, cost);
        cost += before;
        take_least(cost, least[j]);
      }
    }
#pragma GCC unroll 8
    for (int j = 0; j < together; ++j) {
      take_least(least[j], lowest);
      store(least[j], to + (kind + j * shape.kinds) * between + q);
    }
  }
  least_of_all = lowest;
}

/// to = found less the least, in the unit of the costs of seams.
template <int bits, bool wide>
KARAT_STEP_TARGET void finish(const std::uint8_t* found, int least, std::uint8_t* to) {
  constexpr ColumnShape shape = kShapes[bits - 2];
  for (int seam = 0; seam < shape.between << bits; seam += kBlock) {
    Bytes x;
    load(found + seam, x);
    const Bytes cost = x - static_cast<std::uint8_t>(least), most = Bytes{} + kMostCost;
    if constexpr (wide)
      x = x >= most ? most : cost > (most >> kWideShift) ? most : cost << kWideShift;
    else
      x = x >= most ? most : cost;
    if constexpr (shape.skewed) skew(seam, x);
    store(x, to + seam);
  }
}

template <int bits, bool wide>
KARAT_STEP_TARGET int step_of(const ColumnSums& sums, const SumCosts& costs,
                              const std::uint8_t* from, std::uint8_t* to) {
  alignas(64) std::uint8_t before[kMostSeams], some[kMostSeams], found[kMostSeams];
  Bytes least = Bytes{} + 255;
  spread<bits, wide>(from, before);
  for (int kind = 0; kind < kShapes[bits - 2].kinds; ++kind) {
    look_up_all<bits, wide>(sums, costs, kind, some);
    take_best<bits>(before, some, kind, found, least);
  }
  int least_of_all = least[0];
  for (int i = 1; i < kBlock; ++i) least_of_all = std::min<int>(least_of_all, least[i]);
  finish<bits, wide>(found, least_of_all, to);
  return least_of_all;
}

template <int bits>
KARAT_STEP_TARGET int step_of(const ColumnSums& sums, const SumCosts& costs,
                              const std::uint8_t* from, std::uint8_t* to) {
  const auto step = costs.wide ? step_of<bits, true> : step_of<bits, false>;
  return step(sums, costs, from, to);
}

int vector_step(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
                std::uint8_t* to) {
  constexpr ColumnStep kSteps[] = {step_of<2>, step_of<3>, step_of<4>, step_of<5>};
  return kSteps[sums.bits - 2](sums, costs, from, to);
}

}  // namespace
}  // namespace karat
