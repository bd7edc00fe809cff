// 3-bit codes in blocks of 128 inputs (docs/format.md, section 2), a block at a time.
#pragma once

#include "kernel/cpu/isa/x86_eight.h"

namespace karat::KARAT_ISA {
namespace {

/// The quarters of a block, a byte a code: inputs 0, 2 … 62; 1, 3 … 63; and those + 64.
[[maybe_unused]] inline void load_quarters(const std::byte* p, __m256i* q) {
  __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  hold(a);
  const __m256i nibbles = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 32)));  // lower ones, then upper ones
  const __m256i b = _mm256_srlv_epi64(nibbles, _mm256_setr_epi64x(0, 0, 4, 4));
  const __m256i seven = _mm256_set1_epi8(7);
  const __m256i low = _mm256_and_si256(_mm256_srli_epi16(a, 6), _mm256_set1_epi8(3));
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(b, 1), _mm256_set1_epi8(4));
  q[0] = _mm256_and_si256(a, seven);
  q[1] = _mm256_and_si256(_mm256_srli_epi16(a, 3), seven);
  q[2] = _mm256_or_si256(low, high);
  q[3] = _mm256_and_si256(b, seven);
}

/// The block's codes in order, a byte each, to 128 bytes at an address that 32 divides.
[[maybe_unused]] inline void unpack_block(const std::byte* p, std::byte* to) {
  __m256i q[4];
  load_quarters(p, q);
  KARAT_UNROLL
  for (int h = 0; h < 2; ++h) {
    const __m256i a = _mm256_unpacklo_epi8(q[2 * h], q[2 * h + 1]);  // inputs 0 …, 32 …
    const __m256i b = _mm256_unpackhi_epi8(q[2 * h], q[2 * h + 1]);  // inputs 16 …, 48 …
    auto* half = reinterpret_cast<__m256i*>(to + 64 * h);
    _mm256_store_si256(half, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_store_si256(half + 1, _mm256_permute2x128_si256(a, b, 0x31));
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
