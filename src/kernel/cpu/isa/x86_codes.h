// How codes become floats. A decoder has kBits; load(p), the values of the eight codes at p, lane k
// multiplied by 1/lane_scale()[k]; and one(code). It is passed by value, so that what it holds
// stays in registers.
#pragma once

#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

template <int bits>
constexpr std::int64_t kLoadBytes = bits == 8 ? 8 : bits > 4 ? 6 : 4;  // what load(p) reads

/// Codes that are their own values. At 2 and 3 bits a mask per lane is enough: code k stays where
/// it lies, 2^(k·bits) too large, which is exact in a float and costs one multiplication per row to
/// undo instead of one shift per eight codes.
template <int bits>
struct Numbers {
  static constexpr int kBits = bits;

  static __m256 load(const std::byte* p) {
    if constexpr (bits == 8) {
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
      return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
    } else if constexpr (bits > 4) {  // codes 4 … 7 from the third byte on
      constexpr int b = bits, o = 4 * bits - 16;
      std::int32_t first, second;
      std::memcpy(&first, p, 4);
      std::memcpy(&second, p + 2, 4);
      const __m256i words = _mm256_set_m128i(_mm_set1_epi32(second), _mm_set1_epi32(first));
      const __m256i codes = _mm256_srlv_epi32(
          words, _mm256_setr_epi32(0, b, 2 * b, 3 * b, o, o + b, o + 2 * b, o + 3 * b));
      return _mm256_cvtepi32_ps(_mm256_and_si256(codes, _mm256_set1_epi32((1 << b) - 1)));
    } else {
      __m256i words = broadcast_word(p), mask;
      if constexpr (bits == 4) {
        words = _mm256_srlv_epi32(words, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
        mask = _mm256_set1_epi32(15);
      } else {
        constexpr int b = bits, m = (1 << b) - 1;
        mask = _mm256_setr_epi32(m, m << b, m << 2 * b, m << 3 * b, m << 4 * b, m << 5 * b,
                                 m << 6 * b, m << 7 * b);
      }
      return _mm256_cvtepi32_ps(_mm256_and_si256(words, mask));
    }
  }
  static __m256 lane_scale() {
    if constexpr (bits >= 4) return _mm256_set1_ps(1);
    constexpr float r = 1.0f / (1 << bits), r2 = r * r, r4 = r2 * r2;
    return _mm256_setr_ps(1, r, r2, r2 * r, r4, r4 * r, r4 * r2, r4 * r2 * r);
  }
  static float one(unsigned code) { return static_cast<float>(code); }
};

/// Codes that index a list of 2^bits values in registers.
template <int bits>
struct Lookup {
  static constexpr int kBits = bits;
  __m256 values[bits == 4 ? 2 : 1];  // of codes 0 … 7 and 8 … 15; at 2 bits four values twice

  /// Bits above a code's own may be set: a permutation looks at three, and at 2 bits the list
  /// repeats.
  __m256 at(__m256i codes) const {
    const __m256 low = _mm256_permutevar8x32_ps(values[0], codes);
    if constexpr (bits < 4) {
      return low;
    } else {  // bit 3 of a code, as a sign, says which half
      const __m256 high = _mm256_permutevar8x32_ps(values[1], codes);
      return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28)));
    }
  }
  __m256 load(const std::byte* p) const {
    constexpr int b = bits;
    return at(_mm256_srlv_epi32(broadcast_word(p),
                                _mm256_setr_epi32(0, b, 2 * b, 3 * b, 4 * b, 5 * b, 6 * b, 7 * b)));
  }
  static __m256 lane_scale() { return _mm256_set1_ps(1); }
  float one(unsigned code) const {
    return _mm256_cvtss_f32(at(_mm256_set1_epi32(static_cast<int>(code))));
  }
};

/// The 16 values of a list.
[[maybe_unused]] inline Lookup<4> load_list(const float* values) {
  return {{_mm256_loadu_ps(values), _mm256_loadu_ps(values + 8)}};
}

/// The table of a row and group in the file: 2^bits halves.
template <int bits>
inline Lookup<bits> load_table(const MatrixView& m, std::int64_t row, std::int64_t group) {
  const std::byte* table = m.tables + (row * m.groups + group) * (2 << bits);
  if constexpr (bits == 4) {
    return {{load_halves(table), load_halves(table + 16)}};
  } else if constexpr (bits == 3) {
    return {{load_halves(table)}};
  } else {
    const __m128i four = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(table));
    return {{_mm256_cvtph_ps(_mm_unpacklo_epi64(four, four))}};
  }
}

/// What decode.load(p) gives where only `available` bytes may be read; codes past them read 0.
template <class Codes>
inline __m256 load_near_end(Codes decode, const std::byte* p, std::int64_t available) {
  std::byte buffer[8] = {};
  std::memcpy(buffer, p, static_cast<std::size_t>(least(available, 8)));
  return decode.load(buffer);
}

}  // namespace
}  // namespace karat::KARAT_ISA
