// int8.h in registers of 32 bytes, with dot products of bytes where the flags allow them.
#pragma once

#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m256i;
constexpr int kRegisters = 4;  // of a block: its quarters
constexpr int kTokens = 2;     // multiplied together: their sums fill 8 registers

#if defined(__AVXVNNI__) || (defined(__AVX512VNNI__) && defined(__AVX512VL__))
#define KARAT_DOT_BYTES
[[maybe_unused]] inline __m256i add_dot(__m256i sum, __m256i bytes, __m256i values) {
#if defined(__AVXVNNI__)
  return _mm256_dpbusd_avx_epi32(sum, bytes, values);
#else
  return _mm256_dpbusd_epi32(sum, bytes, values);
#endif
}
constexpr int kByteZero = 0;
#else
/// Codes of 8 bits are loaded as signed bytes, this much smaller.
constexpr int kByteZero = 128;
#endif

/// Codes in nibbles, or in blocks.
template <int bits>
struct BlockCodes {
  static constexpr int kBits = bits;
  static constexpr std::int64_t kBytes = kCodeBlock * bits / 8;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) { load_quarters<bits>(p, q); }
  static void load_end(const std::byte* p, std::int64_t available, Bytes* q) requires(bits == 3) {
    load_last_quarters(p, available, q);
  }
};

template <>
struct BlockCodes<8> {
  static constexpr int kBits = 8;
  static constexpr std::int64_t kBytes = 128;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k)
      q[k] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * k)),
                              _mm256_set1_epi8(static_cast<char>(kByteZero)));
  }
};

template <>
struct BlockCodes<2> {
  static constexpr int kBits = 2;
  static constexpr std::int64_t kBytes = 32;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    hold(four);
    const __m256i three = _mm256_set1_epi8(3);
    q[0] = _mm256_and_si256(four, three);
    q[1] = _mm256_and_si256(_mm256_srli_epi16(four, 2), three);
    q[2] = _mm256_and_si256(_mm256_srli_epi16(four, 4), three);
    q[3] = _mm256_and_si256(_mm256_srli_epi16(four, 6), three);
  }
};

[[maybe_unused]] inline Bytes all_bytes(char x) {
  return _mm256_set1_epi8(x);
}

[[maybe_unused]] inline Bytes exclusive_or(Bytes a, Bytes b) {
  return _mm256_xor_si256(a, b);
}
[[maybe_unused]] inline Bytes add_bytes(Bytes a, Bytes b) {
  return _mm256_add_epi8(a, b);
}
/// Each byte, below 32, halved.
[[maybe_unused]] inline Bytes halved(Bytes v) {
  return _mm256_and_si256(_mm256_srli_epi16(v, 1), _mm256_set1_epi8(15));
}
/// A table of 16 bytes, and its bytes at indices below 128, of which four bits count.
[[maybe_unused]] inline Bytes load_table(const std::uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
[[maybe_unused]] inline Bytes look_up(Bytes table, Bytes index) {
  return _mm256_shuffle_epi8(table, index);
}

/// Registers of a block that are multiplied together, and Σ byte·value of theirs: in 16 bits two
/// products of two pairs stay below 2^15 where bytes are below 64: 2·2·63·127. If `large`, they
/// are below 128.
constexpr int kPart = 2;
using Sums = __m256i;
template <bool large>
inline Sums part_sum(const Bytes* q, const std::int8_t* x) {
  const auto values = [x](int k) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(x + 32 * k));
  };
#if defined(KARAT_DOT_BYTES)
  return add_dot(add_dot(_mm256_setzero_si256(), q[0], values(0)), q[1], values(1));
#else
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i a = _mm256_maddubs_epi16(q[0], values(0));
  const __m256i b = _mm256_maddubs_epi16(q[1], values(1));
  if constexpr (large)
    return _mm256_add_epi32(_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones));
  return _mm256_madd_epi16(_mm256_add_epi16(a, b), ones);
#endif
}
[[maybe_unused]] inline Sums add_sums(Sums a, Sums b) {
  return _mm256_add_epi32(a, b);
}
[[maybe_unused]] inline Sums times_64(Sums v) {
  return _mm256_slli_epi32(v, 6);
}
/// Σ byte·value of one register of codes of 8 bits. As unsigned bytes, pairs of products would
/// overflow 16 bits; magnitudes of signed ones are at most 128: 2·128·127 < 2^15.
[[maybe_unused]] inline Sums wide_sum(Bytes q, const std::int8_t* x) {
  const __m256i values = _mm256_load_si256(reinterpret_cast<const __m256i*>(x));
#if defined(KARAT_DOT_BYTES)
  return add_dot(_mm256_setzero_si256(), q, values);
#else
  return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(values, q)),
                           _mm256_set1_epi16(1));
#endif
}
[[maybe_unused]] inline Wide::Vector to_floats(Sums v) {
  return _mm256_cvtepi32_ps(v);
}

/// How wide the codes of a sum are taken to be: what is as good for wider ones is done once.
constexpr int sum_bits([[maybe_unused]] int bits) {
#if defined(KARAT_DOT_BYTES)
  return 4;
#else
  return bits <= 5 ? 4 : bits;
#endif
}

/// Σ code·value of a block, in eight lanes. In 16 bits four products of two pairs stay below 2^15
/// with codes of 5 bits, 4·2·31·127, and two of them with 6 bits, 2·2·63·127.
template <int bits>
inline Eight block_sum(const Bytes* q, const std::int8_t* x) {
#if defined(KARAT_DOT_BYTES)
  return _mm256_cvtepi32_ps(add_sums(part_sum<false>(q, x), part_sum<false>(q + 2, x + 64)));
#else
  const auto values = [x](int k) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(x + 32 * k));
  };
  if constexpr (bits == 8)
    return _mm256_cvtepi32_ps(add_sums(add_sums(wide_sum(q[0], x), wide_sum(q[1], x + 32)),
                                       add_sums(wide_sum(q[2], x + 64), wide_sum(q[3], x + 96))));
  const __m256i a = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], values(0)),
                                     _mm256_maddubs_epi16(q[1], values(1)));
  const __m256i b = _mm256_add_epi16(_mm256_maddubs_epi16(q[2], values(2)),
                                     _mm256_maddubs_epi16(q[3], values(3)));
  const __m256i one = _mm256_set1_epi16(1);
  if constexpr (bits == 6)
    return _mm256_cvtepi32_ps(
        _mm256_add_epi32(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one)));
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(a, b), one));
#endif
}

}  // namespace
}  // namespace karat::KARAT_ISA
