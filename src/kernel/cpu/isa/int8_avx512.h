// int8.h in registers of 64 bytes, with AVX512-VNNI where the flags allow it. The second quarter of
// a register has the same lanes as the first, so a block's eight scales serve both.
#pragma once

#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m512i;
constexpr int kRegisters = 2;            // of a block
constexpr int kPlace[4] = {0, 2, 1, 3};  // of the quarters: even codes in the first register
constexpr int kTokens = 4;               // multiplied together: their sums fill half the registers

template <int bits>
struct BlockCodes;

template <>
struct BlockCodes<4> {
  static constexpr std::int64_t kBytes = 64;
  static void load(const std::byte* p, Bytes* q) {
    const __m512i both = _mm512_loadu_si512(p), low = _mm512_set1_epi8(15);
    q[0] = _mm512_and_si512(both, low);
    q[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
  }
};

/// The eight codes of 24 bits become four even and four odd ones of a lane.
template <>
struct BlockCodes<3> {
  static constexpr std::int64_t kBytes = 48;
  static void load(const std::byte* p, Bytes* q) {
    const __m512i seven = _mm512_set1_epi8(7);
#if defined(__AVX512VBMI__)
    // Six bytes to each eight, of which each byte takes its code's bits.
    const __m512i sixes = _mm512_permutexvar_epi8(spread(), _mm512_maskz_loadu_epi32(0x0fff, p));
    const __m512i even = _mm512_set1_epi64(0x2a241e18120c0600),
                  odd = _mm512_set1_epi64(0x2d27211b150f0903);
    q[0] = _mm512_and_si512(_mm512_multishift_epi64_epi8(even, sixes), seven);
    q[1] = _mm512_and_si512(_mm512_multishift_epi64_epi8(odd, sixes), seven);
#else
    const __m512i bytes = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11),
        _mm512_maskz_loadu_epi32(0x0fff, p));  // 12 bytes to each 16
    const __m512i spread =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11));
    // Bits 0 to 15 and 8 to 23 of the 24, the latter moved so that four codes begin at bit 0; then
    // the upper two of the four to the upper byte.
    const __m512i fours =
        _mm512_srlv_epi16(_mm512_shuffle_epi8(bytes, spread), _mm512_set1_epi32(4 << 16));
    const __m512i twos =
        _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, fours, _mm512_slli_epi16(fours, 2));
    q[0] = _mm512_and_si512(twos, seven);
    q[1] = _mm512_and_si512(_mm512_srli_epi16(twos, 3), seven);
#endif
  }

#if defined(__AVX512VBMI__)
  /// Byte j < 6 of the eight from 8i on is byte 6i + j.
  static __m512i spread() {
    constexpr long long kOnes = 0x0101010101010101, kFirst = 0x0000050403020100;
    return _mm512_setr_epi64(kFirst, kFirst + 6 * kOnes, kFirst + 12 * kOnes, kFirst + 18 * kOnes,
                             kFirst + 24 * kOnes, kFirst + 30 * kOnes, kFirst + 36 * kOnes,
                             kFirst + 42 * kOnes);
  }
#endif
};

template <>
struct BlockCodes<2> {
  static constexpr std::int64_t kBytes = 32;
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

/// Σ code·value of a block, in sixteen lanes of two halves. Products stay as small as in
/// int8_avx2.h.
[[maybe_unused]] inline __m512 block_sum(const Bytes* q, const std::int8_t* x) {
  const __m512i first = _mm512_load_si512(x), second = _mm512_load_si512(x + 64);
#if defined(__AVX512VNNI__)
  const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[0], first);
  return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(sum, q[1], second));
#else
  const __m512i sum =
      _mm512_add_epi16(_mm512_maddubs_epi16(q[0], first), _mm512_maddubs_epi16(q[1], second));
  return _mm512_cvtepi32_ps(_mm512_madd_epi16(sum, _mm512_set1_epi16(1)));
#endif
}

}  // namespace
}  // namespace karat::KARAT_ISA
