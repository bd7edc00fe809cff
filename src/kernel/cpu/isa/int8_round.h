// Rounds activations to 8-bit integers, in the order of the codes that they meet.
#pragma once

#include "kernel/cpu/isa/int8.h"

namespace karat::KARAT_ISA {
namespace {

/// 0, or NaN where one of the inputs is not finite: the maximum and the integers would hide it.
inline float poison(Eight a, Eight b) {
  return sum_lanes(mul(add(mul(a, all(0)), mul(b, all(0))), all(0)));
}

/// 16 inputs: their bytes, and their scale. `whole`: the inputs are integers.
template <bool whole>
inline float round_sixteen(Eight a, Eight b, const std::uint8_t* order, std::int8_t* bytes) {
  constexpr float kLeast = 1e-30f;  // below it, 127 / top could overflow
  const float top = largest_lane(larger(magnitude(a), magnitude(b)));
  const float factor = whole ? 1 : top > kLeast ? 127 / top : 0;
  store_in_order(bytes, to_bytes(a, b, all(factor)), order);
  return whole ? 1 : (top > kLeast ? top / 127 : 0) + poison(a, b);
}

/// One lane, its bytes of the four quarters.
template <class Codes, bool whole>
inline float round_lane(Eight a, Eight b, const std::uint8_t* order, std::int8_t* values) {
  std::int8_t bytes[16];
  const float scale = round_sixteen<whole>(a, b, order, bytes);
  KARAT_UNROLL
  for (int k = 0; k < 4; ++k) std::memcpy(values + 32 * Codes::kPlace[k], bytes + 4 * k, 4);
  return scale;
}

/// Of a lane's inputs, by quarter and byte; and of sixteen in a row, those of two quarters.
constexpr std::uint8_t kOrder2[] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
constexpr std::uint8_t kOrder8[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::uint8_t kOrder[] = {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15};
constexpr std::uint8_t kRowOrder[] = {0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15};

/// Inputs of lane `lane` of a block x, in fours where every quarter has four of them in a row.
template <class Codes>
inline void lane_inputs(const float* x, std::int64_t lane, Eight& a, Eight& b) {
  if constexpr (Codes::kBits == 8) {
    alignas(32) float own[16];
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k) std::memcpy(own + 4 * k, x + 32 * k + 4 * lane, 4 * sizeof(float));
    a = load(own);
    b = load(own + 8);
  } else {
    constexpr bool two = Codes::kBits == 2;
    const float* first = x + (two ? 16 : 8) * lane;
    a = load(first);
    b = load(first + (two ? 8 : 64));
  }
}

/// One block; x has its 128 inputs.
template <class Codes, bool whole>
inline void round_block(const float* x, std::int8_t* values, float* scales) {
  constexpr const std::uint8_t* order =
      Codes::kBits == 2 ? kOrder2 : (Codes::kBits == 8 ? kOrder8 : kOrder);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    Eight a, b;
    lane_inputs<Codes>(x, lane, a, b);
    scales[lane] = round_lane<Codes, whole>(a, b, order, values + 4 * lane);
  }
}

/// One block whose scales are those of 16 inputs in a row.
template <class Codes>
inline void round_rows(const float* x, std::int8_t* values, float* scales) {
  if constexpr (Codes::kBits == 2) return round_block<Codes, false>(x, values, scales);
  for (std::int64_t u = 0; u < kLanes; ++u) {
    const Eight a = load(x + 16 * u), b = load(x + 16 * u + 8);
    if constexpr (Codes::kBits == 8) {  // input 32k + j is byte j of quarter k
      scales[u] = round_sixteen<false>(a, b, kOrder8, values + 16 * u);
    } else {
      std::int8_t bytes[16];
      scales[u] = round_sixteen<false>(a, b, kRowOrder, bytes);
      for (int k = 0; k < 2; ++k)
        std::memcpy(values + 32 * Codes::kPlace[u / 4 * 2 + k] + 8 * (u % 4), bytes + 8 * k, 8);
    }
  }
}

/// Σ x̂ of a block.
[[maybe_unused]] inline float block_total(const std::int8_t* values, const float* scales) {
  Bytes ones[kRegisters];
  for (Bytes& one : ones) one = all_bytes(1);
  return sum_lanes(fold(mul(block_sum<4>(ones, values), Wide::repeat(scales))));
}

/// round(x, values, scales) rounds each block; done(values, scales) is told of it.
template <class Round, class Done>
void round_blocks(const float* x, std::int64_t in, std::int8_t* values, float* scales,
                  const Round& round, const Done& done) {
  for (std::int64_t i = 0; i < in; i += kBlock, values += kBlock, scales += kLanes) {
    float last[kBlock] = {};
    const bool full = i + kBlock <= in;
    if (!full) std::memcpy(last, x + i, static_cast<std::size_t>(in - i) * sizeof(float));
    round(full ? x + i : last, values, scales);
    done(values, scales);
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
