// Rounds activations to 8-bit integers, in the order of the codes that they meet.
#if defined(__AVX2__)
#include "kernel/cpu/avx2_int8.h"

namespace karat::avx2 {
namespace {

/// 16 inputs that share a scale.
struct Sixteen {
  __m256 a, b;
};

inline float largest(const Sixteen& x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 eight = _mm256_max_ps(_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// 0, or NaN where an input is not finite: the maximum and the integers would hide it.
inline float poison(const Sixteen& x) {
  return sum_lanes(_mm256_mul_ps(_mm256_add_ps(_mm256_mul_ps(x.a, _mm256_setzero_ps()),
                                               _mm256_mul_ps(x.b, _mm256_setzero_ps())),
                                 _mm256_setzero_ps()));
}

inline __m128i to_bytes(__m256 a, __m256 b, __m256 factor) {
  const __m256i p = _mm256_cvtps_epi32(_mm256_mul_ps(a, factor));
  const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(b, factor));
  return _mm_packs_epi16(
      _mm_packs_epi32(_mm256_castsi256_si128(p), _mm256_extracti128_si256(p, 1)),
      _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)));
}

/// One lane: its bytes of the four registers, and its scale.
inline float round_lane(const Sixteen& x, __m128i order, std::int8_t* values) {
  constexpr float kLeast = 1e-30f;  // below it, 127 / largest could overflow
  const float top = largest(x), factor = top > kLeast ? 127 / top : 0;
  alignas(16) std::int8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes),
                  _mm_shuffle_epi8(to_bytes(x.a, x.b, _mm256_set1_ps(factor)), order));
  for (int k = 0; k < 4; ++k) std::memcpy(values + 32 * k, bytes + 4 * k, 4);
  return (top > kLeast ? top / 127 : 0) + poison(x);
}

/// One block; x has its 128 inputs.
inline void round_block(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                        float* sum) {
  const bool two = m.bits == 2;  // BlockCodes
  const __m128i order = two ? _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
                            : _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    const float* first = x + (two ? 16 : 8) * lane;
    const Sixteen sixteen{_mm256_loadu_ps(first), _mm256_loadu_ps(first + (two ? 8 : 64))};
    scales[lane] = round_lane(sixteen, order, values + 4 * lane);
  }
  const __m256i one = _mm256_set1_epi8(1), ones[4] = {one, one, one, one};
  *sum = sum_lanes(_mm256_mul_ps(block_sum(ones, values), _mm256_loadu_ps(scales)));
}

}  // namespace

void round_input(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums) {
  std::int64_t i = 0;
  for (; i + kBlock <= m.in; i += kBlock, values += kBlock, scales += kLanes)
    round_block(m, x + i, values, scales, sums++);
  if (i == m.in) return;
  float last[kBlock] = {};
  std::memcpy(last, x + i, static_cast<std::size_t>(m.in - i) * sizeof(float));
  round_block(m, last, values, scales, sums);
}

}  // namespace karat::avx2
#endif
