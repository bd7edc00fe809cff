// int8.h in registers of 32 bytes, with AVX-VNNI where the flags allow it.
#pragma once

#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m256i;
constexpr int kRegisters = 4;  // of a block: its quarters
constexpr int kTokens = 2;     // multiplied together: their sums fill 8 registers

/// Codes in nibbles, or in blocks.
template <int bits>
struct BlockCodes {
  static constexpr int kBits = bits;
  static constexpr std::int64_t kBytes = kCodeBlock * bits / 8;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) { load_quarters<bits>(p, q); }
};

template <>
struct BlockCodes<8> {
  static constexpr int kBits = 8;
  static constexpr std::int64_t kBytes = 128;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k)
      q[k] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * k));
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
#if defined(__AVXVNNI__)
  const __m256i sum = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), q[0], values(0));
  return _mm256_dpbusd_avx_epi32(sum, q[1], values(1));
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
[[maybe_unused]] inline Wide::Vector to_floats(Sums v) {
  return _mm256_cvtepi32_ps(v);
}

/// How wide the codes of a sum are taken to be: what is as good for wider ones is done once.
constexpr int sum_bits([[maybe_unused]] int bits) {
#if defined(__AVXVNNI__)
  return 4;
#else
  return bits <= 5 ? 4 : bits;
#endif
}

/// Σ code·value of a block, in eight lanes. In 16 bits four products of two pairs stay below 2^15
/// with codes of 5 bits, 4·2·31·127, and two of them with 6 bits, 2·2·63·127. Codes of 8 bits are
/// taken in two halves.
template <int bits>
inline Eight block_sum(const Bytes* q, const std::int8_t* x) {
  const auto values = [x](int k) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(x + 32 * k));
  };
#if defined(__AVXVNNI__)
  __m256i sum = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), q[0], values(0));
  sum = _mm256_dpbusd_avx_epi32(sum, q[1], values(1));
  sum = _mm256_dpbusd_avx_epi32(sum, q[2], values(2));
  return _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(sum, q[3], values(3)));
#else
  if constexpr (bits == 8) {
    const __m256i low = _mm256_set1_epi8(15);
    Bytes lower[kRegisters], upper[kRegisters];
    KARAT_UNROLL
    for (int k = 0; k < kRegisters; ++k) {
      lower[k] = _mm256_and_si256(q[k], low);
      upper[k] = _mm256_and_si256(_mm256_srli_epi16(q[k], 4), low);
    }
    return fma(block_sum<4>(upper, x), all(16), block_sum<4>(lower, x));
  } else {
    const __m256i a = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], values(0)),
                                       _mm256_maddubs_epi16(q[1], values(1)));
    const __m256i b = _mm256_add_epi16(_mm256_maddubs_epi16(q[2], values(2)),
                                       _mm256_maddubs_epi16(q[3], values(3)));
    const __m256i one = _mm256_set1_epi16(1);
    if constexpr (bits == 6)
      return _mm256_cvtepi32_ps(
          _mm256_add_epi32(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one)));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(a, b), one));
  }
#endif
}

}  // namespace
}  // namespace karat::KARAT_ISA
