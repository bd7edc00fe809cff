#include "core/levels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "core/platform.h"
#include "karat/error.h"

namespace karat {
namespace {

// As published. They are an optimizer's, near minima that are flat: the exact one at 8 bits is
// 3.922204, whose error is 0.15 % less; to 4 bits the errors agree to nine places.
constexpr std::array kClips = {0.7978845608028654, 1.4935346200015913, 2.051068354131873,
                               2.513930578568423,  2.9160938834961225, 3.276597282593217,
                               3.6010497188221655, 3.884938678807525};

using EightFloats [[gnu::vector_size(32)]] = float;
using EightInts [[gnu::vector_size(32)]] = std::int32_t;
constexpr std::int64_t kTogether = 4;  // registers of sums
constexpr std::int64_t kStride = 8 * kTogether;

/// Σ x² of whole strides: in 32 lanes, then of the lanes.
[[gnu::always_inline]] inline float squares(const float* x, std::int64_t n) {
  EightFloats sums[kTogether] = {};
  for (std::int64_t i = 0; i < n; i += kStride)
    for (int k = 0; k < kTogether; ++k) {
      EightFloats some;
      std::memcpy(&some, x + i + 8 * k, sizeof some);
      sums[k] += some * some;
    }
  const EightFloats whole = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += whole[lane];
  return sum;
}

KARAT_FOR_AVX2 float squares_avx2(const float* x, std::int64_t n) {
  return squares(x, n);
}
float squares_any(const float* x, std::int64_t n) {
  return squares(x, n);
}

/// Eight of odd_levels; a number below `top` is below 2^(bits−1).
[[gnu::always_inline]] inline void round_some(float* x, const EightFloats& step,
                                              const EightFloats& low, const EightFloats& top) {
  EightFloats some;
  std::memcpy(&some, x, sizeof some);
  some /= step;
  some = some < low ? low : some;
  some = some > top ? top : some;
  EightInts whole = __builtin_convertvector(some, EightInts);  // towards 0
  whole += some < __builtin_convertvector(whole, EightFloats);
  some = __builtin_convertvector(2 * whole + 1, EightFloats);
  std::memcpy(x, &some, sizeof some);
}

[[gnu::always_inline]] inline void round_all(float* x, std::int64_t n, float step, float half) {
  const EightFloats none = {};
  for (std::int64_t i = 0; i < n; i += 8)
    round_some(x + i, none + step, none - half, none + (half - 0.5f));
}
KARAT_FOR_AVX2 void round_all_avx2(float* x, std::int64_t n, float step, float half) {
  round_all(x, n, step, half);
}
void round_all_any(float* x, std::int64_t n, float step, float half) {
  round_all(x, n, step, half);
}

float half_of(int bits) {
  return static_cast<float>(1 << (bits - 1));
}

}  // namespace

float square_sum(const float* x, std::int64_t n) {
  const std::int64_t whole = n / kStride * kStride;
  float sum = twin_for_cpu(squares_avx2, squares_avx2, squares_any)(x, whole);
  for (std::int64_t i = whole; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

float largest_magnitude(const float* x, std::int64_t n) {
  float top = 0, poison = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    top = std::max(top, std::fabs(x[i]));
    poison += 0 * x[i];
  }
  return top + poison;
}

float odd_level(float x, float step, int bits) {
  const float half = half_of(bits);
  return 2 * std::clamp(std::floor(x / step), -half, half - 1) + 1;
}

void odd_levels(float* x, std::int64_t n, float step, int bits) {
  const std::int64_t whole = n / 8 * 8;
  twin_for_cpu(round_all_avx2, round_all_avx2, round_all_any)(x, whole, step, half_of(bits));
  for (std::int64_t i = whole; i < n; ++i) x[i] = odd_level(x[i], step, bits);
}

double gaussian_clip(std::int64_t bits) {
  if (bits < 1 || bits > std::ssize(kClips))
    fail("Gaussian grid", std::to_string(bits) + " bits", "1 to 8");
  return kClips[static_cast<std::size_t>(bits - 1)];
}

}  // namespace karat
