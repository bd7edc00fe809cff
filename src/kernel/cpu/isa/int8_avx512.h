// int8.h in registers of 64 bytes, with AVX512-VNNI where the flags allow it. The second quarter of
// a register has the same lanes as the first, so a block's eight scales serve both.
#pragma once

#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m512i;
constexpr int kRegisters = 2;               // of a block
constexpr int kEvenFirst[] = {0, 2, 1, 3};  // even codes in the first register
constexpr int kTokens = 4;    // multiplied together: their sums fill half the registers
constexpr int kByteZero = 0;  // as in int8_avx2.h

template <int bits>
struct BlockCodes;

template <>
struct BlockCodes<4> {
  static constexpr int kBits = 4;
  static constexpr std::int64_t kBytes = 64;
  static constexpr const int* kPlace = kEvenFirst;
  static void load(const std::byte* p, Bytes* q) {
    __m512i both = _mm512_loadu_si512(p);
    hold(both);
    const __m512i low = _mm512_set1_epi8(15);
    q[0] = _mm512_and_si512(both, low);
    q[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
  }
};

template <>
struct BlockCodes<6> {
  static constexpr int kBits = 6;
  static constexpr std::int64_t kBytes = 96;
  static constexpr const int* kPlace = kEvenFirst;
  static void load(const std::byte* p, Bytes* q) {
    BlockCodes<4>::load(p, q);
    const __m512i high =
        _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 64)));
    const __m512i two = _mm512_set1_epi8(0x30);
    const __m512i left = _mm512_setr_epi64(4, 4, 4, 4, 0, 0, 0, 0);
    const __m512i odd = _mm512_srli_epi16(high, 2);
    q[0] = _mm512_or_si512(q[0], _mm512_and_si512(_mm512_sllv_epi64(high, left), two));
    q[1] = _mm512_or_si512(q[1], _mm512_and_si512(_mm512_sllv_epi64(odd, left), two));
  }
};

template <>
struct BlockCodes<5> {
  static constexpr int kBits = 5;
  static constexpr std::int64_t kBytes = 80;
  static constexpr const int* kPlace = kEvenFirst;
  static void load(const std::byte* p, Bytes* q) {
    BlockCodes<4>::load(p, q);
    const __m512i high =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 64)));
    const __m512i one = _mm512_set1_epi8(0x10);
    const __m512i even = _mm512_srlv_epi64(high, _mm512_setr_epi64(0, 0, 4, 4, 2, 2, 6, 6));
    q[0] = _mm512_or_si512(q[0], _mm512_and_si512(_mm512_slli_epi16(even, 4), one));
    q[1] = _mm512_or_si512(q[1], _mm512_and_si512(_mm512_slli_epi16(even, 3), one));
  }
};

template <>
struct BlockCodes<8> {
  static constexpr int kBits = 8;
  static constexpr std::int64_t kBytes = 128;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    q[0] = _mm512_loadu_si512(p);
    q[1] = _mm512_loadu_si512(p + 64);
  }
};

template <>
struct BlockCodes<3> {
  static constexpr int kBits = 3;
  static constexpr std::int64_t kBytes = kCodeBlockBytes;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    const __m512i a =
        _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    const __m512i nibbles =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 32)));
    const __m512i seven = _mm512_set1_epi8(7);
    // The third quarter takes two bits from a and its high bit from b, the fourth all from b.
    const __m512i b = _mm512_srlv_epi64(nibbles, _mm512_setr_epi64(1, 1, 5, 5, 0, 0, 4, 4));
    constexpr long long kLow = 0x0303030303030303;
    const __m512i of_a = _mm512_setr_epi64(kLow, kLow, kLow, kLow, 0, 0, 0, 0);
    constexpr int kSelect = 0xe2;  // the second operand's bits choose between the others
    const __m512i both = _mm512_ternarylogic_epi64(_mm512_srli_epi64(a, 6), of_a, b, kSelect);
    q[0] = _mm512_and_si512(_mm512_srlv_epi64(a, _mm512_setr_epi64(0, 0, 0, 0, 3, 3, 3, 3)), seven);
    q[1] = _mm512_and_si512(both, seven);
  }
  static void load_end(const std::byte* p, std::int64_t available, Bytes* q) {
    __m256i quarters[4];
    load_last_quarters(p, available, quarters);
    KARAT_UNROLL
    for (int h = 0; h < 2; ++h)
      q[h] = _mm512_inserti64x4(_mm512_castsi256_si512(quarters[2 * h]), quarters[2 * h + 1], 1);
  }
};

template <>
struct BlockCodes<2> {
  static constexpr int kBits = 2;
  static constexpr std::int64_t kBytes = 32;
  static constexpr const int* kPlace = kEvenFirst;
  static void load(const std::byte* p, Bytes* q) {
    const __m512i twice =
        _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    const __m512i even = _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
    const __m512i three = _mm512_set1_epi8(3);
    q[0] = _mm512_and_si512(even, three);
    q[1] = _mm512_and_si512(_mm512_srli_epi16(even, 2), three);
  }
};

[[maybe_unused]] inline Bytes all_bytes(char x) {
  return _mm512_set1_epi8(x);
}

// As in int8_avx2.h.
[[maybe_unused]] inline Bytes exclusive_or(Bytes a, Bytes b) {
  return _mm512_xor_si512(a, b);
}
[[maybe_unused]] inline Bytes add_bytes(Bytes a, Bytes b) {
  return _mm512_add_epi8(a, b);
}
[[maybe_unused]] inline Bytes halved(Bytes v) {
  return _mm512_and_si512(_mm512_srli_epi16(v, 1), _mm512_set1_epi8(15));
}
[[maybe_unused]] inline Bytes load_table(const std::uint8_t* table) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
[[maybe_unused]] inline Bytes look_up(Bytes table, Bytes index) {
  return _mm512_shuffle_epi8(table, index);
}
constexpr int kPart = 2;
using Sums = __m512i;
template <bool large>
inline Sums part_sum(const Bytes* q, const std::int8_t* x) {
  const __m512i first = _mm512_load_si512(x), second = _mm512_load_si512(x + 64);
#if defined(__AVX512VNNI__)
  return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), q[0], first), q[1],
                             second);
#else
  const __m512i ones = _mm512_set1_epi16(1);
  const __m512i a = _mm512_maddubs_epi16(q[0], first), b = _mm512_maddubs_epi16(q[1], second);
  if constexpr (large)
    return _mm512_add_epi32(_mm512_madd_epi16(a, ones), _mm512_madd_epi16(b, ones));
  return _mm512_madd_epi16(_mm512_add_epi16(a, b), ones);
#endif
}
[[maybe_unused]] inline Sums add_sums(Sums a, Sums b) {
  return _mm512_add_epi32(a, b);
}
[[maybe_unused]] inline Wide::Vector to_floats(Sums v) {
  return _mm512_cvtepi32_ps(v);
}

/// As in int8_avx2.h.
constexpr int sum_bits([[maybe_unused]] int bits) {
#if defined(__AVX512VNNI__)
  return 4;
#else
  return bits <= 5 ? 4 : bits;
#endif
}

/// The lower and the upper half of a byte.
[[maybe_unused]] inline Bytes lower_half(Bytes q) {
  return _mm512_and_si512(q, _mm512_set1_epi8(15));
}
[[maybe_unused]] inline Bytes upper_half(Bytes q) {
  return lower_half(_mm512_srli_epi16(q, 4));
}

/// Σ code·value of a block, in sixteen lanes of two halves. Products stay as small as in
/// int8_avx2.h.
template <int bits>
inline __m512 block_sum(const Bytes* q, const std::int8_t* x) {
  const __m512i first = _mm512_load_si512(x), second = _mm512_load_si512(x + 64);
#if defined(__AVX512VNNI__)
  const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[0], first);
  return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(sum, q[1], second));
#else
  if constexpr (bits == 8) {
    const Bytes lower[] = {lower_half(q[0]), lower_half(q[1])};
    const Bytes upper[] = {upper_half(q[0]), upper_half(q[1])};
    return _mm512_fmadd_ps(block_sum<4>(upper, x), _mm512_set1_ps(16), block_sum<4>(lower, x));
  } else {
    const __m512i a = _mm512_maddubs_epi16(q[0], first), b = _mm512_maddubs_epi16(q[1], second);
    return _mm512_cvtepi32_ps(_mm512_madd_epi16(_mm512_add_epi16(a, b), _mm512_set1_epi16(1)));
  }
#endif
}

}  // namespace
}  // namespace karat::KARAT_ISA
