// Norms, activations and softmax with AVX2, and the table of the AVX2 set.
#if defined(__AVX2__)
#include "kernel/cpu/avx2_int8.h"
#include "kernel/cpu/x86.h"

namespace karat::avx2 {
namespace {

/// eˣ within 2 units in the last place; 0 below the least normal float, about e^-87.3. Reduction by
/// ln 2 in two parts and the polynomial of Cephes' expf (Moshier, netlib cephes/single).
inline __m256 exp8(__m256 x) {
  const __m256 low = _mm256_set1_ps(-87.33654f), high = _mm256_set1_ps(88.3762626f);
  const __m256 vanishes = _mm256_cmp_ps(x, low, _CMP_LT_OQ);
  x = _mm256_min_ps(high, _mm256_max_ps(low, x));  // in this order a NaN stays one
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4f);
  for (const float coefficient :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(coefficient));
  p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1));
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_andnot_ps(vanishes, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

/// Calls body(i, mask) for each eight of n elements; the mask's lanes past n are off.
template <typename Body>
inline void for_eights(std::int64_t n, const Body& body) {
  for (std::int64_t i = 0; i < n; i += kLanes) body(i, first_lanes(least(n - i, kLanes)));
}

void group_sums(const float* x, std::int64_t in, std::int64_t group, float* sums) {
  for (std::int64_t begin = 0; begin < in; begin += group, ++sums) {
    __m256 sum = _mm256_setzero_ps();
    for_eights(least(group, in - begin), [&](std::int64_t i, __m256i mask) {
      sum = _mm256_add_ps(sum, _mm256_maskload_ps(x + begin + i, mask));
    });
    *sums = sum_lanes(sum);
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  __m256 sums[4];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (std::int64_t k = 0; k < 4; ++k)
      sums[k] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + k * kLanes),
                                _mm256_loadu_ps(b + i + k * kLanes), sums[k]);
  for_eights(n - i, [&](std::int64_t j, __m256i mask) {
    const __m256 bs = _mm256_maskload_ps(b + i + j, mask);
    sums[0] = _mm256_fmadd_ps(_mm256_maskload_ps(a + i + j, mask), bs, sums[0]);
  });
  return sum_lanes(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
}

void axpy(float alpha, const float* x, float* y, std::int64_t n) {
  const __m256 scale = _mm256_set1_ps(alpha);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(scale, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  for (; i < n; ++i) y[i] = __builtin_fmaf(alpha, x[i], y[i]);
}

void scale(float factor, float* x, std::int64_t n) {
  const __m256 f = _mm256_set1_ps(factor);
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    _mm256_maskstore_ps(x + i, mask, _mm256_mul_ps(f, _mm256_maskload_ps(x + i, mask)));
  });
}

float maximum(const float* x, std::int64_t n) {
  __m256 top = _mm256_set1_ps(x[0]);
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 eight = _mm256_maskload_ps(x + i, mask);
    top = _mm256_blendv_ps(top, _mm256_max_ps(eight, top), _mm256_castsi256_ps(mask));
  });
  alignas(32) float lanes[kLanes];
  _mm256_store_ps(lanes, top);
  for (std::int64_t k = 1; k < kLanes; ++k) lanes[0] = lanes[k] > lanes[0] ? lanes[k] : lanes[0];
  return lanes[0];
}

float softmax(float* x, std::int64_t n) {
  const float top = maximum(x, n);
  const __m256 shift = _mm256_set1_ps(top);
  __m256 sum = _mm256_setzero_ps();
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 e = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, mask), shift));
    _mm256_maskstore_ps(x + i, mask, e);
    sum = _mm256_add_ps(sum, _mm256_and_ps(e, _mm256_castsi256_ps(mask)));
  });
  const float total = sum_lanes(sum);
  scale(1 / total, x, n);
  return top + __builtin_logf(total);
}

void rms_norm(const float* x, const float* weight, float eps, float* y, std::int64_t n) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const __m256 factor = _mm256_set1_ps(1 / __builtin_sqrtf(mean + eps));
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 unit = _mm256_mul_ps(_mm256_maskload_ps(x + i, mask), factor);
    _mm256_maskstore_ps(y + i, mask, _mm256_mul_ps(unit, _mm256_maskload_ps(weight + i, mask)));
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y,
                std::int64_t n) {
  float sum = 0;
  group_sums(x, n, n, &sum);
  const __m256 mean = _mm256_set1_ps(sum / static_cast<float>(n));
  __m256 squares = _mm256_setzero_ps();
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 d = _mm256_and_ps(_mm256_sub_ps(_mm256_maskload_ps(x + i, mask), mean),
                                   _mm256_castsi256_ps(mask));
    squares = _mm256_fmadd_ps(d, d, squares);
  });
  const float variance = sum_lanes(squares) / static_cast<float>(n);
  const __m256 factor = _mm256_set1_ps(1 / __builtin_sqrtf(variance + eps));
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 d = _mm256_sub_ps(_mm256_maskload_ps(x + i, mask), mean);
    _mm256_maskstore_ps(
        y + i, mask,
        _mm256_fmadd_ps(_mm256_mul_ps(d, factor), _mm256_maskload_ps(weight + i, mask),
                        _mm256_maskload_ps(bias + i, mask)));
  });
}

/// x / (1 + e^-u): the logistic function of u, times x.
inline __m256 times_logistic(__m256 x, __m256 u) {
  const __m256 one = _mm256_set1_ps(1);
  return _mm256_div_ps(x, _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), u))));
}

void silu(float* x, std::int64_t n) {
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 v = _mm256_maskload_ps(x + i, mask);
    _mm256_maskstore_ps(x + i, mask, times_logistic(v, v));
  });
}

/// ½(1 + tanh u) is the logistic function of 2u; √(8/π) = 1.5957691.
void gelu_tanh(float* x, std::int64_t n) {
  for_eights(n, [&](std::int64_t i, __m256i mask) {
    const __m256 v = _mm256_maskload_ps(x + i, mask);
    const __m256 cube =
        _mm256_fmadd_ps(_mm256_mul_ps(v, v), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1));
    const __m256 u = _mm256_mul_ps(_mm256_mul_ps(v, cube), _mm256_set1_ps(1.5957691216f));
    _mm256_maskstore_ps(x + i, mask, times_logistic(v, u));
  });
}

}  // namespace

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  if (input.int8 != nullptr)
    return (input.tokens == 1 ? multiply_one_int8 : multiply_many_int8)(m, input, y, row_begin,
                                                                        row_end);
  // One token needs groups that begin at whole bytes; other groups go through the unpacked tile.
  const bool aligned = m.store != MatrixView::Store::packed || m.groups == 1 || m.group % 8 == 0;
  if (input.tokens == 1 && aligned) return multiply_one(m, input, y, row_begin, row_end);
  multiply_many(m, input, y, row_begin, row_end);
}

void fill_table(KernelSet& set) {
  set.isa = "avx2";
  set.matmul = matmul;
  set.round_input = round_input;
  set.multiply_add = multiply_add;
  set.group_sums = group_sums;
  set.dot = dot;
  set.axpy = axpy;
  set.softmax = softmax;
  set.rms_norm = rms_norm;
  set.layer_norm = layer_norm;
  set.silu = silu;
  set.gelu_tanh = gelu_tanh;
}

}  // namespace karat::avx2
#endif
