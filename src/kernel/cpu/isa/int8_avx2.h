// int8.h in registers of 32 bytes, with AVX-VNNI where the flags allow it.
#pragma once

#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m256i;
constexpr int kRegisters = 4;            // of a block: its quarters
constexpr int kPlace[4] = {0, 1, 2, 3};  // of the quarters
constexpr int kTokens = 2;               // multiplied together: their sums fill 8 registers

template <int bits>
struct BlockCodes;

template <>
struct BlockCodes<4> {
  static constexpr std::int64_t kBytes = 64;
  static void load(const std::byte* p, Bytes* q) {
    const __m256i low = _mm256_set1_epi8(15);
    KARAT_UNROLL
    for (int h = 0; h < 2; ++h) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * h));
      q[2 * h] = _mm256_and_si256(both, low);
      q[2 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    }
  }
};

/// The eight codes of 24 bits become four even and four odd ones of a lane.
template <>
struct BlockCodes<3> {
  static constexpr std::int64_t kBytes = 48;

  /// 64 codes from 24 bytes; those of a lane begin `skip` bytes after its address.
  static void half(const std::byte* a, const std::byte* b, int skip, Bytes* q) {
    const __m256i bytes = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)), 1);
    const __m256i spread =
        _mm256_add_epi8(_mm256_setr_epi8(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11, 0, 1, 1,
                                         2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11),
                        _mm256_set1_epi8(static_cast<char>(skip)));
    // Bits 0 to 15 and 8 to 23 of the 24, the latter moved so that four codes begin at bit 0.
    const __m256i halves = _mm256_shuffle_epi8(bytes, spread);
    const __m256i fours = _mm256_blend_epi16(halves, _mm256_srli_epi16(halves, 4), 0xaa);
    const __m256i twos = _mm256_blendv_epi8(fours, _mm256_slli_epi16(fours, 2),
                                            _mm256_set1_epi16(static_cast<short>(0xff00)));
    const __m256i seven = _mm256_set1_epi8(7);
    q[0] = _mm256_and_si256(twos, seven);
    q[1] = _mm256_and_si256(_mm256_srli_epi16(twos, 3), seven);
  }
  static void load(const std::byte* p, Bytes* q) {
    half(p, p + 12, 0, q);
    half(p + 20, p + 32, 4, q + 2);  // so that no byte past the block's 48 is read
  }
};

template <>
struct BlockCodes<2> {
  static constexpr std::int64_t kBytes = 32;
  static void load(const std::byte* p, Bytes* q) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
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

/// Σ code·value of a block, in eight lanes. In 16 bits four products of two pairs stay below 2^15:
/// 4·2·15·127.
[[maybe_unused]] inline Eight block_sum(const Bytes* q, const std::int8_t* x) {
  const auto values = [x](int k) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(x + 32 * k));
  };
#if defined(__AVXVNNI__)
  __m256i sum = _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), q[0], values(0));
  sum = _mm256_dpbusd_avx_epi32(sum, q[1], values(1));
  sum = _mm256_dpbusd_avx_epi32(sum, q[2], values(2));
  return _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(sum, q[3], values(3)));
#else
  const __m256i a = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], values(0)),
                                     _mm256_maddubs_epi16(q[1], values(1)));
  const __m256i b = _mm256_add_epi16(_mm256_maddubs_epi16(q[2], values(2)),
                                     _mm256_maddubs_epi16(q[3], values(3)));
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1)));
#endif
}

}  // namespace
}  // namespace karat::KARAT_ISA
