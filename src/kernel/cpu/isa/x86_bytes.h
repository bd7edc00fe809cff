// Sixteen bytes: activations on their way to a block of 8-bit integers.
#pragma once

#include "kernel/cpu/isa/x86_eight.h"

namespace karat::KARAT_ISA {
namespace {

using Sixteen = __m128i;

/// Eight floats of a and eight of b, times the factor, to the nearest integers.
[[maybe_unused]] inline Sixteen to_bytes(Eight a, Eight b, Eight factor) {
  const __m256i p = _mm256_cvtps_epi32(_mm256_mul_ps(a, factor));
  const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(b, factor));
  return _mm_packs_epi16(
      _mm_packs_epi32(_mm256_castsi256_si128(p), _mm256_extracti128_si256(p, 1)),
      _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)));
}

/// to[i] = v[order[i]].
[[maybe_unused]] inline void store_in_order(std::int8_t* to, Sixteen v, const std::uint8_t* order) {
  const __m128i by = _mm_loadu_si128(reinterpret_cast<const __m128i*>(order));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi8(v, by));
}

}  // namespace
}  // namespace karat::KARAT_ISA
