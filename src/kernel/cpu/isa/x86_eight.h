// eight.h in AVX2, FMA and F16C, and Wide in AVX-512 where the flags allow it.
#pragma once

#include <immintrin.h>

#include "kernel/cpu/isa/isa.h"

namespace karat::KARAT_ISA {
namespace {

using Eight = __m256;
using Four = __m128;

/// All ones in the first n of 8 lanes, 0 <= n <= 8.
[[maybe_unused]] inline __m256i first_lanes(std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

[[maybe_unused]] inline Eight all(float x) {
  return _mm256_set1_ps(x);
}
[[maybe_unused]] inline Eight load(const float* p) {
  return _mm256_loadu_ps(p);
}
[[maybe_unused]] inline void store(float* p, Eight v) {
  _mm256_storeu_ps(p, v);
}
/// The first n <= 8 floats at p, then zeros; nothing past them is read or written.
[[maybe_unused]] inline Eight load_first(const float* p, std::int64_t n) {
  return _mm256_maskload_ps(p, first_lanes(n));
}
[[maybe_unused]] inline void store_first(float* p, std::int64_t n, Eight v) {
  _mm256_maskstore_ps(p, first_lanes(n), v);
}
/// The first n lanes of a, the others of b.
[[maybe_unused]] inline Eight select_first(std::int64_t n, Eight a, Eight b) {
  return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(first_lanes(n)));
}

[[maybe_unused]] inline Eight add(Eight a, Eight b) {
  return _mm256_add_ps(a, b);
}
[[maybe_unused]] inline Eight sub(Eight a, Eight b) {
  return _mm256_sub_ps(a, b);
}
[[maybe_unused]] inline Eight mul(Eight a, Eight b) {
  return _mm256_mul_ps(a, b);
}
[[maybe_unused]] inline Eight div(Eight a, Eight b) {
  return _mm256_div_ps(a, b);
}
/// a·b + c, and c − a·b.
[[maybe_unused]] inline Eight fma(Eight a, Eight b, Eight c) {
  return _mm256_fmadd_ps(a, b, c);
}
[[maybe_unused]] inline Eight fnma(Eight a, Eight b, Eight c) {
  return _mm256_fnmadd_ps(a, b, c);
}
/// Of a NaN and a number either may come out, but a NaN in b does.
[[maybe_unused]] inline Eight larger(Eight a, Eight b) {
  return _mm256_max_ps(a, b);
}
[[maybe_unused]] inline Eight smaller(Eight a, Eight b) {
  return _mm256_min_ps(a, b);
}
[[maybe_unused]] inline Eight magnitude(Eight v) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}
/// To the nearest integer, and 2 to the power of integers between −126 and 127.
[[maybe_unused]] inline Eight nearest(Eight v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
[[maybe_unused]] inline Eight power_of_two(Eight n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
/// v, and 0 where x < low.
[[maybe_unused]] inline Eight zero_below(Eight x, Eight low, Eight v) {
  return _mm256_andnot_ps(_mm256_cmp_ps(x, low, _CMP_LT_OQ), v);
}

[[maybe_unused]] inline float sum_lanes(Eight v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
[[maybe_unused]] inline float largest_lane(Eight v) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
/// Which lane of another Eight each lane takes.
using Order = __m256i;
[[maybe_unused]] inline Order order_of(const std::int32_t* lanes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes));
}
[[maybe_unused]] inline Eight in_order(Eight v, Order order) {
  return _mm256_permutevar8x32_ps(v, order);
}
/// Eight words, and as numbers the three bits of each from bit `shift` on.
using Words = __m256i;
[[maybe_unused]] inline Words words_of(const std::uint32_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}
[[maybe_unused]] inline Eight three_bits(Words words, int shift) {
  return _mm256_cvtepi32_ps(
      _mm256_and_si256(_mm256_srl_epi32(words, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(7)));
}
/// The even and the odd ones of sixteen halves.
[[maybe_unused]] inline void load_pairs(const std::byte* data, Eight& even, Eight& odd) {
  const Eight a = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data)));
  const Eight b = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 16)));
  const auto sorted = [](Eight v) {  // lanes of a, b, a, b by pairs
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
  };
  even = sorted(_mm256_shuffle_ps(a, b, 0x88));
  odd = sorted(_mm256_shuffle_ps(a, b, 0xdd));
}

/// The lane sums of four registers.
[[maybe_unused]] inline Four sum_lanes(Eight a, Eight b, Eight c, Eight d) {
  const __m256 abcd = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1));
}
[[maybe_unused]] inline Four load_four(const float* p) {
  return _mm_loadu_ps(p);
}
[[maybe_unused]] inline void store_four(float* p, Four v) {
  _mm_storeu_ps(p, v);
}
[[maybe_unused]] inline Four add_four(Four a, Four b) {
  return _mm_add_ps(a, b);
}

/// Keeps v in its register: GCC would load it again for every use but one, and loads are what the
/// loops over codes have most of.
#if defined(__AVX512F__)
template <class Register>
inline void hold(Register& v) {
  asm("" : "+v"(v));
}
#else
template <class Register>
inline void hold(Register& v) {
  asm("" : "+x"(v));
}
#endif

/// x at eight 16-bit indices. A gather takes more instructions inside than eight loads, and where
/// microcode guards it (Skylake to Ice Lake) many times as long.
[[maybe_unused]] inline Eight gather(const float* x, const std::byte* indices) {
  const auto at = [=](int i) {
    std::uint16_t index;
    std::memcpy(&index, indices + 2 * i, 2);
    return x[index];
  };
  return _mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7));
}

/// 8 halves, or 8-bit integers, at an address of any alignment.
[[maybe_unused]] inline Eight load_halves(const std::byte* data) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data)));
}
[[maybe_unused]] inline Eight load_int8(const std::byte* data) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(data));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
[[maybe_unused]] inline float load_half(const std::byte* data, std::int64_t i) {
  std::uint16_t bits;
  std::memcpy(&bits, data + 2 * i, 2);
  return _cvtsh_ss(bits);
}

#if defined(__AVX512F__) && !defined(KARAT_NARROW)
[[maybe_unused]] inline __m512 mul(__m512 a, __m512 b) {
  return _mm512_mul_ps(a, b);
}
[[maybe_unused]] inline __m512 fma(__m512 a, __m512 b, __m512 c) {
  return _mm512_fmadd_ps(a, b, c);
}

/// Sixteen floats, with the functions that the wide loops use.
struct Wide {
  using Vector = __m512;
  static constexpr std::int64_t kLanes = 16;
  static Vector zeros() { return _mm512_setzero_ps(); }
  static Vector all(float x) { return _mm512_set1_ps(x); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static Vector load_first(const float* p, std::int64_t n) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1 << n) - 1), p);
  }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector repeat(const float* eight) {
    return _mm512_broadcast_f32x8(_mm256_loadu_ps(eight));
  }
  template <CellBlock::Cell cell>
  static Vector load_cells(const std::byte* data, std::int64_t i) {
    if constexpr (cell == CellBlock::Cell::f32) return _mm512_loadu_ps(data + 4 * i);
    if constexpr (cell == CellBlock::Cell::f16)
      return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(data + 2 * i)));
    if constexpr (cell == CellBlock::Cell::i8)
      return _mm512_cvtepi32_ps(
          _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i))));
  }
};

/// A Wide's eights added up; its first eight, and it with another first eight.
[[maybe_unused]] inline Eight fold(__m512 v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}
[[maybe_unused]] inline Eight first_eight(__m512 v) {
  return _mm512_castps512_ps256(v);
}
[[maybe_unused]] inline __m512 with_first_eight(__m512 v, Eight first) {
  return _mm512_insertf32x8(v, first, 0);
}
#endif

}  // namespace
}  // namespace karat::KARAT_ISA
