// Sums of sixteen inputs in a row, eight a block, each with an activation scale of its own: the
// codes of one row in registers of 32 bytes, or of two rows, a half each, in registers of 64.
#pragma once

#include "kernel/cpu/isa/int8.h"

namespace karat::KARAT_ISA {
namespace {

/// Which sixteen inputs of a block lane `lane` of its sums has.
template <int bits>
constexpr int sixteen_of(int lane) {
  if (bits == 2) return lane;
  if (bits == 8) return 2 * (lane % 4) + lane / 4;
  return lane % 2 + 4 * (lane / 2 % 2) + 2 * (lane / 4);
}

/// Registers of one row.
struct OneRow {
  static constexpr int kRows = 1;
  using Ints = __m256i;
  using Floats = __m256;

  static Ints all(int x) { return _mm256_set1_epi32(x); }
  static Ints all16(short x) { return _mm256_set1_epi16(x); }
  static Ints zeros() { return _mm256_setzero_si256(); }
  /// 32 bytes, the same for all rows.
  static Ints repeat(const void* p) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Floats repeat(const float* p) { return _mm256_load_ps(p); }
  /// counts[r] in all lanes of row r.
  static Ints of_rows(const int* counts) { return all(counts[0]); }
  static Ints bits_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
  static Ints right(Ints v, Ints by) { return _mm256_srlv_epi32(v, by); }
  static Ints products(Ints bytes, Ints values) { return _mm256_maddubs_epi16(bytes, values); }
  static Ints add16(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
  static Ints add32(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static Ints add_pairs(Ints v) { return _mm256_madd_epi16(v, all16(1)); }
#if defined(KARAT_DOT_BYTES)
  static Ints dot(Ints sum, Ints bytes, Ints values) {
    return add_dot(sum, bytes, values);
  }
#endif
  /// Of each 16 bytes of a, then of b, the even words, and the odd ones.
  static Ints even(Ints a, Ints b) {
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
  }
  static Ints odd(Ints a, Ints b) {
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
  }
  static Floats to_floats(Ints v) {
    return _mm256_cvtepi32_ps(v);
  }
  static Floats add(Floats a, Floats b) {
    return _mm256_add_ps(a, b);
  }
  static Floats fma(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
  }

  /// A block's quarters.
  template <int bits>
  static void load(const std::byte* const* rows, std::int64_t at, Ints* q) {
    BlockCodes<bits>::load(rows[0] + at, q);
  }
  /// The same of the codes that a row ends with.
  template <int bits>
  static void load_end(const std::byte* const* rows, std::int64_t at, std::int64_t available,
                       Ints* q) {
    load_last<BlockCodes<bits>>(rows[0] + at, available, q);
  }
  static void row_sums(Floats v, Eight* rows) {
    rows[0] = v;
  }
};

#if defined(__AVX512BW__)
/// Registers of two rows.
struct TwoRows {
  static constexpr int kRows = 2;
  using Ints = __m512i;
  using Floats = __m512;

  static Ints all(int x) { return _mm512_set1_epi32(x); }
  static Ints all16(short x) { return _mm512_set1_epi16(x); }
  static Ints zeros() { return _mm512_setzero_si512(); }
  static Ints repeat(const void* p) {
    return _mm512_broadcast_i64x4(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Floats repeat(const float* p) { return _mm512_broadcast_f32x8(_mm256_load_ps(p)); }
  static Ints of_rows(const int* counts) {
    return both(_mm256_set1_epi32(counts[0]), _mm256_set1_epi32(counts[1]));
  }
  static Ints bits_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
  static Ints right(Ints v, Ints by) { return _mm512_srlv_epi32(v, by); }
  static Ints products(Ints bytes, Ints values) { return _mm512_maddubs_epi16(bytes, values); }
  static Ints add16(Ints a, Ints b) { return _mm512_add_epi16(a, b); }
  static Ints add32(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static Ints add_pairs(Ints v) { return _mm512_madd_epi16(v, all16(1)); }
#if defined(KARAT_DOT_BYTES)
  static Ints dot(Ints sum, Ints bytes, Ints values) {
    return _mm512_dpbusd_epi32(sum, bytes, values);
  }
#endif
  static Ints even(Ints a, Ints b) {
    return _mm512_castps_si512(
        _mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0x88));
  }
  static Ints odd(Ints a, Ints b) {
    return _mm512_castps_si512(
        _mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0xdd));
  }
  static Floats to_floats(Ints v) {
    return _mm512_cvtepi32_ps(v);
  }
  static Floats add(Floats a, Floats b) {
    return _mm512_add_ps(a, b);
  }
  static Floats fma(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
  }

  /// Of 2, 3 or 4 bits.
  template <int bits>
  static void load(const std::byte* const* rows, std::int64_t at, Ints* q) {
    const std::byte *a = rows[0] + at, *b = rows[1] + at;
    if constexpr (bits == 2) {
      const Ints four = load_both(a, b), three = _mm512_set1_epi8(3);
      q[0] = bits_and(four, three);
      q[1] = bits_and(_mm512_srli_epi16(four, 2), three);
      q[2] = bits_and(_mm512_srli_epi16(four, 4), three);
      q[3] = bits_and(_mm512_srli_epi16(four, 6), three);
    } else if constexpr (bits == 3) {
      const Ints low = load_both(a, b), seven = _mm512_set1_epi8(7);
      const Ints nibbles = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load_sixteen(a + 32)),
                                                       0xff00, load_sixteen(b + 32));
      const Ints high = _mm512_srlv_epi64(nibbles, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
      constexpr int kSelect = 0xd8;  // the third operand's bits choose between the others
      q[0] = bits_and(low, seven);
      q[1] = bits_and(_mm512_srli_epi16(low, 3), seven);
      q[2] =
          bits_and(_mm512_ternarylogic_epi64(_mm512_srli_epi16(high, 1), _mm512_srli_epi16(low, 6),
                                             _mm512_set1_epi8(3), kSelect),
                   seven);
      q[3] = bits_and(high, seven);
    } else {
      const Ints fifteen = _mm512_set1_epi8(15);
      KARAT_UNROLL
      for (int h = 0; h < 2; ++h) {
        const Ints pair = load_both(a + 32 * h, b + 32 * h);
        q[2 * h] = bits_and(pair, fifteen);
        q[2 * h + 1] = bits_and(_mm512_srli_epi16(pair, 4), fifteen);
      }
    }
  }
  template <int bits>
  static void load_end(const std::byte* const* rows, std::int64_t at, std::int64_t available,
                       Ints* q) {
    __m256i a[4], b[4];
    load_last<BlockCodes<bits>>(rows[0] + at, available, a);
    load_last<BlockCodes<bits>>(rows[1] + at, available, b);
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k) q[k] = both(a[k], b[k]);
  }
  static void row_sums(Floats v, Eight* rows) {
    rows[0] = _mm512_castps512_ps256(v);
    rows[1] = _mm512_extractf32x8_ps(v, 1);
  }

 private:
  static Ints both(__m256i a, __m256i b) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
  }
  static Ints load_both(const std::byte* a, const std::byte* b) {
    return both(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)),
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b)));
  }
  static __m128i load_sixteen(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
};
#endif

template <class V>
inline typename V::Ints add_neighbours(typename V::Ints a, typename V::Ints b) {
  return V::add32(V::even(a, b), V::odd(a, b));
}

/// Σ code·value of two quarters, in 16 bits twice as many as lanes; with dot products of bytes in
/// 32 bits.
template <class V>
inline typename V::Ints half_products(const typename V::Ints* q, const std::int8_t* x) {
#if defined(KARAT_DOT_BYTES)
  return V::dot(V::dot(V::zeros(), q[0], V::repeat(x)), q[1], V::repeat(x + 32));
#else
  return V::add16(V::products(q[0], V::repeat(x)), V::products(q[1], V::repeat(x + 32)));
#endif
}

/// Σ code·value of the sixteens of a block, in lanes as sixteen_of() says; q are its quarters, x
/// the values of activations. In 16 bits sixteen products stay below 2^15 where codes are below 16,
/// 16·15·127, and four of them below 64, 4·63·127.
template <class V, int bits>
inline typename V::Floats sixteen_sums(const typename V::Ints* q, const std::int8_t* x) {
  if constexpr (bits == 8) {
    const auto lower = add_neighbours<V>(wide_sum(q[0], x), wide_sum(q[1], x + 32));
    const auto upper = add_neighbours<V>(wide_sum(q[2], x + 64), wide_sum(q[3], x + 96));
    return V::to_floats(add_neighbours<V>(lower, upper));
  } else {
    const auto a = half_products<V>(q, x), b = half_products<V>(q + 2, x + 64);
#if defined(KARAT_DOT_BYTES)
    if constexpr (bits == 2) return V::to_floats(V::add32(a, b));
    return V::to_floats(add_neighbours<V>(a, b));
#else
    if constexpr (bits == 2) return V::to_floats(V::add_pairs(V::add16(a, b)));
    if constexpr (bits <= 4)
      return V::to_floats(V::add_pairs(V::add16(V::even(a, b), V::odd(a, b))));
    return V::to_floats(add_neighbours<V>(V::add_pairs(a), V::add_pairs(b)));
#endif
  }
}

}  // namespace
}  // namespace karat::KARAT_ISA
