// Norms, activations and exponentials, and the functions of the set that multiply no 8-bit
// activations.
#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

/// eˣ within 2 units in the last place; 0 below the least normal float, about e^-87.3. Reduction by
/// ln 2 in two parts and the polynomial of Cephes' expf (Moshier, netlib cephes/single).
inline Eight exp8(Eight unbounded) {
  const Eight low = all(-87.33654f), high = all(88.3762626f);
  const Eight x = smaller(high, larger(low, unbounded));  // in this order a NaN stays one
  const Eight n = nearest(mul(x, all(1.44269504f)));
  Eight r = fnma(n, all(0.693359375f), x);
  r = fnma(n, all(-2.12194440e-4f), r);
  Eight p = all(1.9875691500e-4f);
  for (const float coefficient :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = fma(p, r, all(coefficient));
  p = add(fma(p, mul(r, r), r), all(1));
  return zero_below(unbounded, low, mul(p, power_of_two(n)));
}

/// A count of eight that is known: nothing is masked.
struct Whole {};
inline Eight load_first(const float* p, Whole) {
  return load(p);
}
inline void store_first(float* p, Whole, Eight v) {
  store(p, v);
}
inline Eight select_first(Whole, Eight a, Eight) {
  return a;
}
inline Eight keep_first(Eight v, Whole) {
  return v;
}

/// Calls body(i, count) for each eight of n elements; the last may have fewer.
template <typename Body>
inline void for_eights(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, Whole{});
  if (i < n) body(i, n - i);
}

void group_sums(const float* x, std::int64_t in, std::int64_t group, float* sums) {
  for (std::int64_t begin = 0; begin < in; begin += group, ++sums) {
    Eight sum = all(0);
    for_eights(least(group, in - begin), [&](std::int64_t i, auto count) {
      sum = add(sum, load_first(x + begin + i, count));
    });
    *sums = sum_lanes(sum);
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  Eight sums[4] = {all(0), all(0), all(0), all(0)};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) KARAT_UNROLL
  for (std::int64_t k = 0; k < 4; ++k)
    sums[k] = fma(load(a + i + k * kLanes), load(b + i + k * kLanes), sums[k]);
  for_eights(n - i, [&](std::int64_t j, auto count) {
    sums[0] = fma(load_first(a + i + j, count), load_first(b + i + j, count), sums[0]);
  });
  return sum_lanes(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

void axpy(float alpha, const float* x, float* y, std::int64_t n) {
  const Eight factor = all(alpha);
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, fma(factor, load(x + i), load(y + i)));
  for (; i < n; ++i) y[i] = __builtin_fmaf(alpha, x[i], y[i]);
}

float maximum(const float* x, std::int64_t n) {
  Eight top = all(x[0]);
  for_eights(n, [&](std::int64_t i, auto count) {
    top = select_first(count, larger(load_first(x + i, count), top), top);
  });
  return largest_lane(top);
}

ExpSum exponentials(float* x, std::int64_t n) {
  const float top = maximum(x, n);
  const Eight shift = all(top);
  Eight sum = all(0);
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight e = exp8(sub(load_first(x + i, count), shift));
    store_first(x + i, count, e);
    sum = add(sum, keep_first(e, count));
  });
  return {top, sum_lanes(sum)};
}

void rms_norm(const float* x, const float* weight, float eps, float* y, std::int64_t n) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const Eight factor = all(1 / __builtin_sqrtf(mean + eps));
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight unit = mul(load_first(x + i, count), factor);
    store_first(y + i, count, mul(unit, load_first(weight + i, count)));
  });
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, float* y,
                std::int64_t n) {
  float sum = 0;
  group_sums(x, n, n, &sum);
  const Eight mean = all(sum / static_cast<float>(n));
  Eight squares = all(0);
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight d = keep_first(sub(load_first(x + i, count), mean), count);
    squares = fma(d, d, squares);
  });
  const float variance = sum_lanes(squares) / static_cast<float>(n);
  const Eight factor = all(1 / __builtin_sqrtf(variance + eps));
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight d = sub(load_first(x + i, count), mean);
    const Eight w = load_first(weight + i, count), b = load_first(bias + i, count);
    store_first(y + i, count, fma(mul(d, factor), w, b));
  });
}

/// x / (1 + e^-u): the logistic function of u, times x.
inline Eight times_logistic(Eight x, Eight u) {
  return div(x, add(all(1), exp8(sub(all(0), u))));
}

void silu(float* x, std::int64_t n) {
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight v = load_first(x + i, count);
    store_first(x + i, count, times_logistic(v, v));
  });
}

/// ½(1 + tanh u) is the logistic function of 2u; √(8/π) = 1.5957691.
void gelu_tanh(float* x, std::int64_t n) {
  for_eights(n, [&](std::int64_t i, auto count) {
    const Eight v = load_first(x + i, count);
    const Eight cube = fma(mul(v, v), all(0.044715f), all(1));
    const Eight u = mul(mul(v, cube), all(1.5957691216f));
    store_first(x + i, count, times_logistic(v, u));
  });
}

}  // namespace

void fill_floats(KernelSet& set) {
  set.matmul = matmul;
  set.multiply_add = multiply_add;
  set.group_sums = group_sums;
  set.dot = dot;
  set.axpy = axpy;
  set.exponentials = exponentials;
  set.rms_norm = rms_norm;
  set.layer_norm = layer_norm;
  set.silu = silu;
  set.gelu_tanh = gelu_tanh;
}

}  // namespace karat::KARAT_ISA
