// int8.h in NEON: a quarter is two registers. With dot products where the flags allow them.
#pragma once

#include "kernel/cpu/isa/neon_eight.h"

namespace karat::KARAT_ISA {
namespace {

/// Activations on their way to a block of 8-bit integers.
using Sixteen = int8x16_t;

/// Eight floats of a and eight of b, times the factor, to the nearest integers.
[[maybe_unused]] inline Sixteen to_bytes(Eight a, Eight b, Eight factor) {
  const Eight p = mul(a, factor), q = mul(b, factor);
  const auto four = [](Four v) { return vqmovn_s32(vcvtnq_s32_f32(v)); };
  return vcombine_s8(vqmovn_s16(vcombine_s16(four(p.a), four(p.b))),
                     vqmovn_s16(vcombine_s16(four(q.a), four(q.b))));
}

/// to[i] = v[order[i]].
[[maybe_unused]] inline void store_in_order(std::int8_t* to, Sixteen v, const std::uint8_t* order) {
  vst1q_s8(to, vqtbl1q_s8(v, vld1q_u8(order)));
}

struct Bytes {
  uint8x16_t a, b;
};
constexpr int kRegisters = 4;  // of a block: its quarters
constexpr int kTokens = 2;     // multiplied together: their sums fill half the registers
/// Codes of 8 bits are loaded as signed bytes, this much smaller.
constexpr int kByteZero = 128;

[[maybe_unused]] inline Bytes load_bytes(const std::byte* p) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(p);
  return {vld1q_u8(bytes), vld1q_u8(bytes + 16)};
}
/// The bits of each byte that the mask has.
[[maybe_unused]] inline Bytes lowest(Bytes v, std::uint8_t mask) {
  return {vandq_u8(v.a, vdupq_n_u8(mask)), vandq_u8(v.b, vdupq_n_u8(mask))};
}
template <int bits>
inline Bytes shifted(Bytes v) {
  return {vshrq_n_u8(v.a, bits), vshrq_n_u8(v.b, bits)};
}

template <int bits>
struct BlockCodes;

template <>
struct BlockCodes<4> {
  static constexpr int kBits = 4;
  static constexpr std::int64_t kBytes = 64;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    for (int h = 0; h < 2; ++h) {
      const Bytes both = load_bytes(p + 32 * h);
      q[2 * h] = lowest(both, 15);
      q[2 * h + 1] = shifted<4>(both);
    }
  }
};

/// Sets bits of q from those of `high`, moved left by so many places.
template <int left>
inline void add_high(Bytes& q, Bytes high, std::uint8_t mask) {
  const uint8x16_t bits = vdupq_n_u8(mask);
  q = {vorrq_u8(q.a, vandq_u8(vshlq_n_u8(high.a, left), bits)),
       vorrq_u8(q.b, vandq_u8(vshlq_n_u8(high.b, left), bits))};
}

template <>
struct BlockCodes<6> {
  static constexpr int kBits = 6;
  static constexpr std::int64_t kBytes = 96;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    BlockCodes<4>::load(p, q);
    const Bytes high = load_bytes(p + 64);
    add_high<4>(q[0], high, 0x30);
    add_high<2>(q[1], high, 0x30);
    add_high<0>(q[2], high, 0x30);
    add_high<0>(q[3], shifted<2>(high), 0x30);
  }
};

template <>
struct BlockCodes<5> {
  static constexpr int kBits = 5;
  static constexpr std::int64_t kBytes = 80;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    BlockCodes<4>::load(p, q);
    const uint8x16_t halves = vld1q_u8(reinterpret_cast<const std::uint8_t*>(p + 64));
    const Bytes high{halves, vshrq_n_u8(halves, 4)};
    add_high<4>(q[0], high, 0x10);
    add_high<3>(q[1], high, 0x10);
    add_high<2>(q[2], high, 0x10);
    add_high<1>(q[3], high, 0x10);
  }
};

template <>
struct BlockCodes<8> {
  static constexpr int kBits = 8;
  static constexpr std::int64_t kBytes = 128;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    const uint8x16_t zero = vdupq_n_u8(kByteZero);
    for (int k = 0; k < 4; ++k) {
      const Bytes codes = load_bytes(p + 32 * k);
      q[k] = {veorq_u8(codes.a, zero), veorq_u8(codes.b, zero)};
    }
  }
};

template <>
struct BlockCodes<3> {
  static constexpr int kBits = 3;
  static constexpr std::int64_t kBytes = 48;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    const Bytes a = load_bytes(p);
    const uint8x16_t nibbles = vld1q_u8(reinterpret_cast<const std::uint8_t*>(p + 32));
    const Bytes b{nibbles, vshrq_n_u8(nibbles, 4)};
    const Bytes low = shifted<6>(a), high = lowest(shifted<1>(b), 4);
    q[0] = lowest(a, 7);
    q[1] = lowest(shifted<3>(a), 7);
    q[2] = {vorrq_u8(low.a, high.a), vorrq_u8(low.b, high.b)};
    q[3] = lowest(b, 7);
  }
};

template <>
struct BlockCodes<2> {
  static constexpr int kBits = 2;
  static constexpr std::int64_t kBytes = 32;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    const Bytes four = load_bytes(p);
    q[0] = lowest(four, 3);
    q[1] = lowest(shifted<2>(four), 3);
    q[2] = lowest(shifted<4>(four), 3);
    q[3] = shifted<6>(four);
  }
};

[[maybe_unused]] inline Bytes all_bytes(char x) {
  const uint8x16_t v = vdupq_n_u8(static_cast<std::uint8_t>(x));
  return {v, v};
}

// As in int8_avx2.h.
[[maybe_unused]] inline Bytes exclusive_or(Bytes a, Bytes b) {
  return {veorq_u8(a.a, b.a), veorq_u8(a.b, b.b)};
}
[[maybe_unused]] inline Bytes add_bytes(Bytes a, Bytes b) {
  return {vaddq_u8(a.a, b.a), vaddq_u8(a.b, b.b)};
}
[[maybe_unused]] inline Bytes halved(Bytes v) {
  return shifted<1>(v);
}
[[maybe_unused]] inline Bytes load_table(const std::uint8_t* table) {
  return {vld1q_u8(table), vld1q_u8(table)};
}
[[maybe_unused]] inline Bytes look_up(Bytes table, Bytes index) {
  const Bytes low = lowest(index, 15);
  return {vqtbl1q_u8(table.a, low.a), vqtbl1q_u8(table.b, low.b)};
}
constexpr int kPart = 2;
struct Sums {
  int32x4_t a, b;
};
/// sum + Σ byte·value of signed bytes: two products of 128·127 stay below 2^15.
[[maybe_unused]] inline int32x4_t add_dot(int32x4_t sum, uint8x16_t bytes,
                                          const std::int8_t* values) {
  const int8x16_t v = vreinterpretq_s8_u8(bytes), w = vld1q_s8(values);
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, v, w);
#else
  return vpadalq_s16(sum,
                     vpaddq_s16(vmull_s8(vget_low_s8(v), vget_low_s8(w)), vmull_high_s8(v, w)));
#endif
}
[[maybe_unused]] inline Sums wide_sum(Bytes q, const std::int8_t* x) {
  const int32x4_t zero = vdupq_n_s32(0);
  return {add_dot(zero, q.a, x), add_dot(zero, q.b, x + 16)};
}
template <bool large>
inline Sums part_sum(const Bytes* q, const std::int8_t* x) {
  const Sums first = wide_sum(q[0], x);
  return {add_dot(first.a, q[1].a, x + 32), add_dot(first.b, q[1].b, x + 48)};
}
[[maybe_unused]] inline Sums times_64(Sums v) {
  return {vshlq_n_s32(v.a, 6), vshlq_n_s32(v.b, 6)};
}
[[maybe_unused]] inline Sums add_sums(Sums a, Sums b) {
  return {vaddq_s32(a.a, b.a), vaddq_s32(a.b, b.b)};
}
[[maybe_unused]] inline Wide::Vector to_floats(Sums v) {
  return {vcvtq_f32_s32(v.a), vcvtq_f32_s32(v.b)};
}

/// Σ over the quarters of four lanes: 16 bytes of each, the values' 32 bytes apart. In 16 bits four
/// sums of two products stay below 2^15: 4·2·31·127.
[[maybe_unused]] inline Four half_sum(uint8x16_t q0, uint8x16_t q1, uint8x16_t q2, uint8x16_t q3,
                                      const std::int8_t* x) {
  const int8x16_t codes[] = {vreinterpretq_s8_u8(q0), vreinterpretq_s8_u8(q1),
                             vreinterpretq_s8_u8(q2), vreinterpretq_s8_u8(q3)};
#if defined(__ARM_FEATURE_DOTPROD)
  int32x4_t sum = vdupq_n_s32(0);
  KARAT_UNROLL
  for (int k = 0; k < 4; ++k) sum = vdotq_s32(sum, codes[k], vld1q_s8(x + 32 * k));
  return vcvtq_f32_s32(sum);
#else
  int16x8_t sum = vdupq_n_s16(0);
  KARAT_UNROLL
  for (int k = 0; k < 4; ++k) {
    const int8x16_t values = vld1q_s8(x + 32 * k);
    sum = vaddq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(codes[k]), vget_low_s8(values)),
                                    vmull_high_s8(codes[k], values)));
  }
  return vcvtq_f32_s32(vpaddlq_s16(sum));
#endif
}

/// How wide the codes of a sum are taken to be: products are of signed bytes, in 16 bits without
/// dot products.
constexpr int sum_bits(int bits) {
#if defined(__ARM_FEATURE_DOTPROD)
  return bits < 8 ? 4 : 8;
#else
  return bits <= 5 ? 4 : 8;
#endif
}

/// Σ code·value of a block, in eight lanes.
template <int bits>
inline Eight block_sum(const Bytes* q, const std::int8_t* x) {
  if constexpr (bits == 8)
    return to_floats(add_sums(part_sum<true>(q, x), part_sum<true>(q + 2, x + 64)));
  else
    return {half_sum(q[0].a, q[1].a, q[2].a, q[3].a, x),
            half_sum(q[0].b, q[1].b, q[2].b, q[3].b, x + 16)};
}

}  // namespace
}  // namespace karat::KARAT_ISA
