// int8.h in registers of 32 bytes, with AVX-VNNI where the flags allow it.
#pragma once

#include "kernel/cpu/isa/x86_blocks.h"
#include "kernel/cpu/isa/x86_bytes.h"

namespace karat::KARAT_ISA {
namespace {

using Bytes = __m256i;
constexpr int kRegisters = 4;  // of a block: its quarters
constexpr int kTokens = 2;     // multiplied together: their sums fill 8 registers

template <int bits>
struct BlockCodes;

template <>
struct BlockCodes<4> {
  static constexpr std::int64_t kBytes = 64;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) {
    const __m256i low = _mm256_set1_epi8(15);
    KARAT_UNROLL
    for (int h = 0; h < 2; ++h) {
      __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * h));
      hold(both);
      q[2 * h] = _mm256_and_si256(both, low);
      q[2 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    }
  }
};

template <>
struct BlockCodes<3> {
  static constexpr std::int64_t kBytes = kCodeBlockBytes;
  static constexpr const int* kPlace = kInOrder;
  static void load(const std::byte* p, Bytes* q) { load_quarters(p, q); }
};

template <>
struct BlockCodes<2> {
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
