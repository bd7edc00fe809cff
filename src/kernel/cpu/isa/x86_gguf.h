// Blocks of the most used GGUF types (core/block.h) to floats, sixteen weights at a time. Each type
// has its number, and decode(block, take), which calls take(i, weights, next eight) for the
// multiples of 16, each once.
#pragma once

#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

inline __m128i load_16(const std::byte* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
inline __m128i low_nibbles(__m128i v) {
  return _mm_and_si128(v, _mm_set1_epi8(15));
}
inline __m128i high_nibbles(__m128i v) {
  return low_nibbles(_mm_srli_epi16(v, 4));
}

/// Eight of sixteen signed bytes as floats, from byte `first`.
template <int first>
inline __m256 to_eight(__m128i bytes) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, first)));
}

/// take(i, scale · bytes + shift) for sixteen signed bytes.
template <class Take>
inline void take_16(std::int64_t i, __m128i bytes, __m256 scale, __m256 shift, const Take& take) {
  take(i, _mm256_fmadd_ps(to_eight<0>(bytes), scale, shift),
       _mm256_fmadd_ps(to_eight<8>(bytes), scale, shift));
}
template <class Take>
inline void take_16(std::int64_t i, __m128i bytes, __m256 scale, const Take& take) {
  take(i, _mm256_mul_ps(to_eight<0>(bytes), scale), _mm256_mul_ps(to_eight<8>(bytes), scale));
}

inline __m128i iq4_values() {
  return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

struct GgufQ4_0 {
  static constexpr int kNumber = 2;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const __m256 scale = _mm256_set1_ps(load_half(b, 0));
    const __m128i codes = load_16(b + 2), eight = _mm_set1_epi8(8);
    take_16(0, _mm_sub_epi8(low_nibbles(codes), eight), scale, take);
    take_16(16, _mm_sub_epi8(high_nibbles(codes), eight), scale, take);
  }
};

struct GgufQ4_1 {
  static constexpr int kNumber = 3;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const __m256 scale = _mm256_set1_ps(load_half(b, 0)), least = _mm256_set1_ps(load_half(b, 1));
    const __m128i codes = load_16(b + 4);
    take_16(0, low_nibbles(codes), scale, least, take);
    take_16(16, high_nibbles(codes), scale, least, take);
  }
};

struct GgufQ8_0 {
  static constexpr int kNumber = 8;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const __m256 scale = _mm256_set1_ps(load_half(b, 0));
    take_16(0, load_16(b + 2), scale, take);
    take_16(16, load_16(b + 18), scale, take);
  }
};

/// Of Q4_K and Q5_K: scale and −minimum of sub-block `k`, whose six bits lie as core/block says.
struct SixBits {
  __m256 scale, shift;
};
inline SixBits six_bits(const std::byte* b, int k) {
  const auto at = [&](int i) { return static_cast<unsigned>(b[4 + i]); };
  const unsigned scale = k < 4 ? at(k) & 63 : (at(k + 4) & 15) | at(k - 4) >> 6 << 4;
  const unsigned least = k < 4 ? at(k + 4) & 63 : at(k + 4) >> 4 | at(k) >> 6 << 4;
  return {_mm256_set1_ps(load_half(b, 0) * static_cast<float>(scale)),
          _mm256_set1_ps(-load_half(b, 1) * static_cast<float>(least))};
}

struct GgufQ4K {
  static constexpr int kNumber = 12;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    for (int k = 0; k < 8; k += 2) {
      const SixBits first = six_bits(b, k), second = six_bits(b, k + 1);
      for (int part = 0; part < 2; ++part) {
        const __m128i codes = load_16(b + 16 + 16 * k + 16 * part);
        take_16(32 * k + 16 * part, low_nibbles(codes), first.scale, first.shift, take);
        take_16(32 * k + 32 + 16 * part, high_nibbles(codes), second.scale, second.shift, take);
      }
    }
  }
};

struct GgufQ5K {
  static constexpr int kNumber = 13;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    for (int k = 0; k < 8; ++k) {
      const SixBits six = six_bits(b, k);
      for (int part = 0; part < 2; ++part) {
        const __m128i codes = load_16(b + 48 + k / 2 * 32 + 16 * part);
        const __m128i low = k % 2 == 0 ? low_nibbles(codes) : high_nibbles(codes);
        const __m128i bit = _mm_set1_epi8(static_cast<char>(1 << k));
        const __m128i fifth = _mm_cmpeq_epi8(_mm_and_si128(load_16(b + 16 + 16 * part), bit), bit);
        const __m128i q = _mm_or_si128(low, _mm_and_si128(fifth, _mm_set1_epi8(16)));
        take_16(32 * k + 16 * part, q, six.scale, six.shift, take);
      }
    }
  }
};

struct GgufQ6K {
  static constexpr int kNumber = 14;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const float d = load_half(b + 208, 0);
    for (int i = 0; i < 256; i += 16) {
      const int half = i / 128, group = i % 128 / 32, l = i % 32;
      const __m128i codes = load_16(b + 64 * half + l + 32 * (group & 1));
      const __m128i low = group < 2 ? low_nibbles(codes) : high_nibbles(codes);
      const __m128i upper = load_16(b + 128 + 32 * half + l);
      const __m128i moved = group == 0   ? _mm_slli_epi16(upper, 4)
                            : group == 1 ? _mm_slli_epi16(upper, 2)
                            : group == 2 ? upper
                                         : _mm_srli_epi16(upper, 2);
      const __m128i q = _mm_or_si128(low, _mm_and_si128(moved, _mm_set1_epi8(48)));
      const auto scale = static_cast<float>(static_cast<std::int8_t>(b[192 + i / 16]));
      take_16(i, _mm_sub_epi8(q, _mm_set1_epi8(32)), _mm256_set1_ps(d * scale), take);
    }
  }
};

struct GgufIq4Nl {
  static constexpr int kNumber = 20;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const __m256 scale = _mm256_set1_ps(load_half(b, 0));
    const __m128i codes = load_16(b + 2), values = iq4_values();
    take_16(0, _mm_shuffle_epi8(values, low_nibbles(codes)), scale, take);
    take_16(16, _mm_shuffle_epi8(values, high_nibbles(codes)), scale, take);
  }
};

struct GgufIq4Xs {
  static constexpr int kNumber = 23;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const float d = load_half(b, 0);
    const unsigned upper = static_cast<unsigned>(b[2]) | static_cast<unsigned>(b[3]) << 8;
    const __m128i values = iq4_values();
    for (int k = 0; k < 8; ++k) {
      const unsigned low = static_cast<unsigned>(b[4 + k / 2]) >> k % 2 * 4 & 15;
      const int six = static_cast<int>(low | (upper >> 2 * k & 3) << 4) - 32;
      const __m256 scale = _mm256_set1_ps(d * static_cast<float>(six));
      const __m128i codes = load_16(b + 8 + 16 * k);
      take_16(32 * k, _mm_shuffle_epi8(values, low_nibbles(codes)), scale, take);
      take_16(32 * k + 16, _mm_shuffle_epi8(values, high_nibbles(codes)), scale, take);
    }
  }
};

}  // namespace
}  // namespace karat::KARAT_ISA
