// eight.h in NEON, as every AArch64 CPU has it: two registers of four floats.
#pragma once

#include <arm_neon.h>

#include "kernel/cpu/isa/isa.h"

namespace karat::KARAT_ISA {
namespace {

using Four = float32x4_t;
struct Eight {
  Four a, b;
};

[[maybe_unused]] inline Four load_four(const float* p) {
  return vld1q_f32(p);
}
[[maybe_unused]] inline void store_four(float* p, Four v) {
  vst1q_f32(p, v);
}
[[maybe_unused]] inline Four add_four(Four a, Four b) {
  return vaddq_f32(a, b);
}

[[maybe_unused]] inline Eight all(float x) {
  return {vdupq_n_f32(x), vdupq_n_f32(x)};
}
[[maybe_unused]] inline Eight load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4)};
}
[[maybe_unused]] inline void store(float* p, Eight v) {
  vst1q_f32(p, v.a);
  vst1q_f32(p + 4, v.b);
}
/// The first n <= 8 floats at p, then zeros; nothing past them is read or written.
[[maybe_unused]] inline Eight load_first(const float* p, std::int64_t n) {
  if (n == kLanes) return load(p);
  float eight[kLanes] = {};
  std::memcpy(eight, p, static_cast<std::size_t>(n) * sizeof(float));
  return load(eight);
}
[[maybe_unused]] inline void store_first(float* p, std::int64_t n, Eight v) {
  if (n == kLanes) return store(p, v);
  float eight[kLanes];
  store(eight, v);
  std::memcpy(p, eight, static_cast<std::size_t>(n) * sizeof(float));
}
/// The first n lanes of a, the others of b.
[[maybe_unused]] inline Eight select_first(std::int64_t n, Eight a, Eight b) {
  const std::int32_t low[] = {0, 1, 2, 3}, high[] = {4, 5, 6, 7};
  const int32x4_t end = vdupq_n_s32(static_cast<std::int32_t>(n));
  return {vbslq_f32(vcltq_s32(vld1q_s32(low), end), a.a, b.a),
          vbslq_f32(vcltq_s32(vld1q_s32(high), end), a.b, b.b)};
}

[[maybe_unused]] inline Eight add(Eight a, Eight b) {
  return {vaddq_f32(a.a, b.a), vaddq_f32(a.b, b.b)};
}
[[maybe_unused]] inline Eight sub(Eight a, Eight b) {
  return {vsubq_f32(a.a, b.a), vsubq_f32(a.b, b.b)};
}
[[maybe_unused]] inline Eight mul(Eight a, Eight b) {
  return {vmulq_f32(a.a, b.a), vmulq_f32(a.b, b.b)};
}
[[maybe_unused]] inline Eight div(Eight a, Eight b) {
  return {vdivq_f32(a.a, b.a), vdivq_f32(a.b, b.b)};
}
/// a·b + c, and c − a·b.
[[maybe_unused]] inline Eight fma(Eight a, Eight b, Eight c) {
  return {vfmaq_f32(c.a, a.a, b.a), vfmaq_f32(c.b, a.b, b.b)};
}
[[maybe_unused]] inline Eight fnma(Eight a, Eight b, Eight c) {
  return {vfmsq_f32(c.a, a.a, b.a), vfmsq_f32(c.b, a.b, b.b)};
}
/// A NaN comes out.
[[maybe_unused]] inline Eight larger(Eight a, Eight b) {
  return {vmaxq_f32(a.a, b.a), vmaxq_f32(a.b, b.b)};
}
[[maybe_unused]] inline Eight smaller(Eight a, Eight b) {
  return {vminq_f32(a.a, b.a), vminq_f32(a.b, b.b)};
}
[[maybe_unused]] inline Eight magnitude(Eight v) {
  return {vabsq_f32(v.a), vabsq_f32(v.b)};
}
/// To the nearest integer, and 2 to the power of integers between −126 and 127.
[[maybe_unused]] inline Eight nearest(Eight v) {
  return {vrndnq_f32(v.a), vrndnq_f32(v.b)};
}
[[maybe_unused]] inline Four power_of_two(Four n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
[[maybe_unused]] inline Eight power_of_two(Eight n) {
  return {power_of_two(n.a), power_of_two(n.b)};
}
/// v, and 0 where x < low.
[[maybe_unused]] inline Four zero_below(Four x, Four low, Four v) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcltq_f32(x, low)));
}
[[maybe_unused]] inline Eight zero_below(Eight x, Eight low, Eight v) {
  return {zero_below(x.a, low.a, v.a), zero_below(x.b, low.b, v.b)};
}

[[maybe_unused]] inline float sum_lanes(Eight v) {
  return vaddvq_f32(vaddq_f32(v.a, v.b));
}
[[maybe_unused]] inline float largest_lane(Eight v) {
  return vmaxvq_f32(vmaxq_f32(v.a, v.b));
}
/// The lane sums of four Eights.
[[maybe_unused]] inline Four sum_lanes(Eight a, Eight b, Eight c, Eight d) {
  return vpaddq_f32(vpaddq_f32(vaddq_f32(a.a, a.b), vaddq_f32(b.a, b.b)),
                    vpaddq_f32(vaddq_f32(c.a, c.b), vaddq_f32(d.a, d.b)));
}

/// As in x86_eight.h.
struct Order {
  uint8x16_t a, b;  // bytes of the sixteen of an Eight's first register, then of its second
};
[[maybe_unused]] inline Order order_of(const std::int32_t* lanes) {
  std::uint8_t bytes[32];
  for (int i = 0; i < 32; ++i) bytes[i] = static_cast<std::uint8_t>(4 * lanes[i / 4] + i % 4);
  return {vld1q_u8(bytes), vld1q_u8(bytes + 16)};
}
[[maybe_unused]] inline Eight in_order(Eight v, Order order) {
  const uint8x16x2_t bytes = {{vreinterpretq_u8_f32(v.a), vreinterpretq_u8_f32(v.b)}};
  return {vreinterpretq_f32_u8(vqtbl2q_u8(bytes, order.a)),
          vreinterpretq_f32_u8(vqtbl2q_u8(bytes, order.b))};
}
struct Words {
  uint32x4_t a, b;
};
[[maybe_unused]] inline Words words_of(const std::uint32_t* words) {
  return {vld1q_u32(words), vld1q_u32(words + 4)};
}
[[maybe_unused]] inline Eight three_bits(Words words, int shift) {
  const int32x4_t right = vdupq_n_s32(-shift);
  const auto bits = [right](uint32x4_t v) {
    return vcvtq_f32_u32(vandq_u32(vshlq_u32(v, right), vdupq_n_u32(7)));
  };
  return {bits(words.a), bits(words.b)};
}
[[maybe_unused]] inline void load_pairs(const std::byte* data, Eight& even, Eight& odd) {
  const uint16x8x2_t both = vld2q_u16(reinterpret_cast<const std::uint16_t*>(data));
  const auto floats = [](uint16x8_t halves) {
    const float16x8_t v = vreinterpretq_f16_u16(halves);
    return Eight{vcvt_f32_f16(vget_low_f16(v)), vcvt_f32_f16(vget_high_f16(v))};
  };
  even = floats(both.val[0]);
  odd = floats(both.val[1]);
}

/// x at eight 16-bit indices.
[[maybe_unused]] inline Eight gather(const float* x, const std::byte* indices) {
  float eight[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    std::uint16_t index;
    std::memcpy(&index, indices + 2 * i, 2);
    eight[i] = x[index];
  }
  return load(eight);
}

/// 8 halves, or 8-bit integers, at an address of any alignment.
[[maybe_unused]] inline Eight load_halves(const std::byte* data) {
  const float16x8_t halves =
      vreinterpretq_f16_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(data)));
  return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_f32_f16(vget_high_f16(halves))};
}
[[maybe_unused]] inline Eight load_int8(const std::byte* data) {
  const int16x8_t wide = vmovl_s8(vld1_s8(reinterpret_cast<const std::int8_t*>(data)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))),
          vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)))};
}
[[maybe_unused]] inline float load_half(const std::byte* data, std::int64_t i) {
  __fp16 half;
  std::memcpy(&half, data + 2 * i, 2);
  return half;
}

}  // namespace
}  // namespace karat::KARAT_ISA
