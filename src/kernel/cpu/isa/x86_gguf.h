// Blocks of the most used GGUF types (core/block.h) to floats, sixteen weights at a time. Each type
// has its number, and decode(block, take), which calls take(which sum, i, weights) for the
// multiples i of 16, each once.
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

#if defined(__AVX512F__) && !defined(KARAT_NARROW)
/// Sixteen floats.
using Sixteen = __m512;
inline Sixteen all_16(float x) {
  return _mm512_set1_ps(x);
}
inline Sixteen load_sixteen(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void store_sixteen(float* p, Sixteen v) {
  _mm512_storeu_ps(p, v);
}
inline Sixteen to_sixteen(__m128i bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
inline float sum_of(Sixteen a, Sixteen b) {
  return sum_lanes(fold(_mm512_add_ps(a, b)));
}
#else
struct Sixteen {
  __m256 low, high;
};
inline Sixteen all_16(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline Sixteen load_sixteen(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + kLanes)};
}
inline void store_sixteen(float* p, Sixteen v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + kLanes, v.high);
}
inline Sixteen to_sixteen(__m128i bytes) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
inline Sixteen mul(Sixteen a, Sixteen b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline Sixteen fma(Sixteen a, Sixteen b, Sixteen c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline float sum_of(Sixteen a, Sixteen b) {
  return sum_lanes(_mm256_add_ps(_mm256_add_ps(a.low, a.high), _mm256_add_ps(b.low, b.high)));
}
#endif

/// Which of two sums sixteen weights are added to, so that none waits for the one before it.
template <int number>
struct Sum {
  static constexpr int kNumber = number;
};

/// take(which, i, scale · bytes [+ shift]) for sixteen signed bytes.
template <int which, class Take>
inline void take_16(std::int64_t i, __m128i bytes, Sixteen scale, Sixteen shift, const Take& take) {
  take(Sum<which>(), i, fma(to_sixteen(bytes), scale, shift));
}
template <int which, class Take>
inline void take_16(std::int64_t i, __m128i bytes, Sixteen scale, const Take& take) {
  take(Sum<which>(), i, mul(to_sixteen(bytes), scale));
}

inline __m128i iq4_values() {
  return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

struct GgufQ4_0 {
  static constexpr int kNumber = 2;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const Sixteen scale = all_16(load_half(b, 0));
    const __m128i codes = load_16(b + 2), eight = _mm_set1_epi8(8);
    take_16<0>(0, _mm_sub_epi8(low_nibbles(codes), eight), scale, take);
    take_16<1>(16, _mm_sub_epi8(high_nibbles(codes), eight), scale, take);
  }
};

struct GgufQ4_1 {
  static constexpr int kNumber = 3;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const Sixteen scale = all_16(load_half(b, 0)), least = all_16(load_half(b, 1));
    const __m128i codes = load_16(b + 4);
    take_16<0>(0, low_nibbles(codes), scale, least, take);
    take_16<1>(16, high_nibbles(codes), scale, least, take);
  }
};

struct GgufQ8_0 {
  static constexpr int kNumber = 8;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const Sixteen scale = all_16(load_half(b, 0));
    take_16<0>(0, load_16(b + 2), scale, take);
    take_16<1>(16, load_16(b + 18), scale, take);
  }
};

/// Of Q4_K and Q5_K: scale and −minimum of sub-block `k`, whose six bits lie as core/block says.
struct SixBits {
  Sixteen scale, shift;
};
inline SixBits six_bits(const std::byte* b, int k) {
  const auto at = [&](int i) { return static_cast<unsigned>(b[4 + i]); };
  const unsigned scale = k < 4 ? at(k) & 63 : (at(k + 4) & 15) | at(k - 4) >> 6 << 4;
  const unsigned least = k < 4 ? at(k + 4) & 63 : at(k + 4) >> 4 | at(k) >> 6 << 4;
  return {all_16(load_half(b, 0) * static_cast<float>(scale)),
          all_16(-load_half(b, 1) * static_cast<float>(least))};
}

struct GgufQ4K {
  static constexpr int kNumber = 12;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    for (int k = 0; k < 8; k += 2) {
      const SixBits first = six_bits(b, k), second = six_bits(b, k + 1);
      for (int part = 0; part < 2; ++part) {
        const __m128i codes = load_16(b + 16 + 16 * k + 16 * part);
        take_16<0>(32 * k + 16 * part, low_nibbles(codes), first.scale, first.shift, take);
        take_16<1>(32 * k + 32 + 16 * part, high_nibbles(codes), second.scale, second.shift, take);
      }
    }
  }
};

struct GgufQ5K {
  static constexpr int kNumber = 13;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const auto sub_block = [&](int k, auto which) {
      const SixBits six = six_bits(b, k);
      for (int part = 0; part < 2; ++part) {
        const __m128i codes = load_16(b + 48 + k / 2 * 32 + 16 * part);
        const __m128i low = k % 2 == 0 ? low_nibbles(codes) : high_nibbles(codes);
        const __m128i bit = _mm_set1_epi8(static_cast<char>(1 << k));
        const __m128i fifth = _mm_cmpeq_epi8(_mm_and_si128(load_16(b + 16 + 16 * part), bit), bit);
        const __m128i q = _mm_or_si128(low, _mm_and_si128(fifth, _mm_set1_epi8(16)));
        take_16<decltype(which)::kNumber>(32 * k + 16 * part, q, six.scale, six.shift, take);
      }
    };
    for (int k = 0; k < 8; k += 2) {
      sub_block(k, Sum<0>());
      sub_block(k + 1, Sum<1>());
    }
  }
};

struct GgufQ6K {
  static constexpr int kNumber = 14;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const float d = load_half(b + 208, 0);
    const auto sub_block = [&](int i, auto which) {
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
      take_16<decltype(which)::kNumber>(i, _mm_sub_epi8(q, _mm_set1_epi8(32)), all_16(d * scale),
                                        take);
    };
    for (int i = 0; i < 256; i += 32) {
      sub_block(i, Sum<0>());
      sub_block(i + 16, Sum<1>());
    }
  }
};

struct GgufIq4Nl {
  static constexpr int kNumber = 20;
  template <class Take>
  static void decode(const std::byte* b, const Take& take) {
    const Sixteen scale = all_16(load_half(b, 0));
    const __m128i codes = load_16(b + 2), values = iq4_values();
    take_16<0>(0, _mm_shuffle_epi8(values, low_nibbles(codes)), scale, take);
    take_16<1>(16, _mm_shuffle_epi8(values, high_nibbles(codes)), scale, take);
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
      const Sixteen scale = all_16(d * static_cast<float>(six));
      const __m128i codes = load_16(b + 8 + 16 * k);
      take_16<0>(32 * k, _mm_shuffle_epi8(values, low_nibbles(codes)), scale, take);
      take_16<1>(32 * k + 16, _mm_shuffle_epi8(values, high_nibbles(codes)), scale, take);
    }
  }
};

}  // namespace
}  // namespace karat::KARAT_ISA
