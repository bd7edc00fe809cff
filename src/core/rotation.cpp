#include "core/rotation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>

#include "core/platform.h"
#include "core/rng.h"
#include "core/threads.h"
#include "karat/error.h"

namespace karat {
namespace {

/// x [length, columns] becomes H x, up to a factor √length; length is a power of two.
void walsh_hadamard(float* x, std::int64_t length, std::int64_t columns) {
  const std::int64_t count = length * columns;
  for (std::int64_t half = columns; half < count; half *= 2)
    for (std::int64_t begin = 0; begin < count; begin += 2 * half)
      for (std::int64_t i = begin; i < begin + half; ++i) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
}

using Eight [[gnu::vector_size(32)]] = float;
constexpr std::int64_t kLanes = 8;

[[gnu::always_inline]] inline void load(const float* from, Eight& to) {
  std::memcpy(&to, from, sizeof to);
}
[[gnu::always_inline]] inline void store(const Eight& from, float* to) {
  std::memcpy(to, &from, sizeof from);
}

/// H of order 8, in the order of additions of walsh_hadamard.
[[gnu::always_inline]] inline void walsh_hadamard(Eight& x) {
  Eight other = __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
  Eight sum = x + other, difference = other - x;
  x = __builtin_shufflevector(sum, difference, 0, 9, 2, 11, 4, 13, 6, 15);
  other = __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
  sum = x + other, difference = other - x;
  x = __builtin_shufflevector(sum, difference, 0, 1, 10, 11, 4, 5, 14, 15);
  other = __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
  sum = x + other, difference = other - x;
  x = __builtin_shufflevector(sum, difference, 0, 1, 2, 3, 12, 13, 14, 15);
}

/// walsh_hadamard of one column, length >= 8, with the same bits.
[[gnu::always_inline]] inline void transform_column(float* x, std::int64_t length) {
  for (std::int64_t i = 0; i < length; i += kLanes) {
    Eight some;
    load(x + i, some);
    walsh_hadamard(some);
    store(some, x + i);
  }
  std::int64_t half = kLanes;
  for (; 4 * half <= length; half *= 4)  // two steps at once
    for (std::int64_t begin = 0; begin < length; begin += 4 * half)
      for (std::int64_t i = begin; i < begin + half; i += kLanes) {
        Eight a, b, c, d;
        load(x + i, a), load(x + i + half, b);
        load(x + i + 2 * half, c), load(x + i + 3 * half, d);
        const Eight ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
        store(ab + cd, x + i), store(a_b + c_d, x + i + half);
        store(ab - cd, x + i + 2 * half), store(a_b - c_d, x + i + 3 * half);
      }
  for (; half < length; half *= 2)
    for (std::int64_t i = 0; i < half; i += kLanes) {
      Eight a, b;
      load(x + i, a), load(x + i + half, b);
      store(a + b, x + i), store(a - b, x + i + half);
    }
}

KARAT_FOR_AVX2 void transform_column_avx2(float* x, std::int64_t length) {
  transform_column(x, length);
}
void transform_column_any(float* x, std::int64_t length) {
  transform_column(x, length);
}

/// y = Σ factor[i] · from[i · width …], 64 numbers, from the first to the last.
[[gnu::always_inline]] inline void mix_some(const float* from, const float* factors,
                                            std::int64_t count, std::int64_t width, float* y) {
  constexpr int kTogether = 8;
  Eight sums[kTogether] = {};
  for (std::int64_t i = 0; i < count; ++i)
    for (int k = 0; k < kTogether; ++k) {
      Eight term;
      load(from + i * width + k * kLanes, term);
      sums[k] += factors[i] * term;
    }
  std::memcpy(y, sums, sizeof sums);
}
constexpr std::int64_t kMixed = 64;

KARAT_FOR_AVX2 void mix_some_avx2(const float* from, const float* factors, std::int64_t count,
                                  std::int64_t width, float* y) {
  mix_some(from, factors, count, width, y);
}
void mix_some_any(const float* from, const float* factors, std::int64_t count, std::int64_t width,
                  float* y) {
  mix_some(from, factors, count, width, y);
}

void scale_rows(float* x, const std::vector<float>& factors, std::int64_t columns) {
  if (columns == 1) {
    for (std::size_t i = 0; i < factors.size(); ++i) x[i] *= factors[i];
    return;
  }
  for (const float factor : factors)
    for (std::int64_t column = 0; column < columns; ++column) *x++ *= factor;
}

/// Rows per piece of work: some 2^16 numbers.
std::int64_t grain(std::int64_t width) {
  return std::max<std::int64_t>(1, (std::int64_t{1} << 16) / width);
}

/// rotate_row on each row of x [rows, columns], then rotate_columns on strips of columns.
void both_sides(float* x, std::int64_t rows, std::int64_t columns, const auto& rotate_row,
                const auto& rotate_columns) {
  constexpr std::int64_t kStrip = 32;
  parallel_for(rows, grain(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) rotate_row(x + row * columns);
  });
  parallel_for((columns + kStrip - 1) / kStrip, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin * kStrip; first < std::min(columns, end * kStrip);
         first += kStrip) {
      const std::int64_t width = std::min(kStrip, columns - first);
      std::vector<float> strip(static_cast<std::size_t>(rows * width));
      for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(x + row * columns + first, width, strip.data() + row * width);
      rotate_columns(strip.data(), width);
      for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(strip.data() + row * width, width, x + row * columns + first);
    }
  });
}

}  // namespace

void walsh_hadamard(float* x, std::int64_t length) {
  if (length < kLanes) return walsh_hadamard(x, length, 1);
  twin_for_cpu(transform_column_avx2, transform_column_avx2, transform_column_any)(x, length);
}

Rotation::Rotation(std::int64_t n, std::uint32_t seed, Side side)
    : odd_(n),
      stream_(2 * std::uint64_t{seed} + (side == Side::outputs ? 1 : 0)),
      signs_(static_cast<std::size_t>(std::max<std::int64_t>(n, 0))) {
  if (n < 1) fail("rotation", "a size of " + std::to_string(n), "at least 1");
  for (; odd_ % 2 == 0; odd_ /= 2) power_ *= 2;
  const auto factor = static_cast<float>(1 / std::sqrt(static_cast<double>(power_)));
  Rng rng(stream_);
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < signs_.size(); ++i, word >>= 1) {
    if (i % 64 == 0) word = rng.next();
    signs_[i] = (word & 1) != 0 ? -factor : factor;
  }
  const auto order = static_cast<double>(odd_);
  for (std::int64_t i = 0; i < 4 * odd_; ++i)
    cosines_.push_back(static_cast<float>(
        std::sqrt(2 / order) * std::cos(std::numbers::pi * static_cast<double>(i) / (2 * order))));
}

/// Row `row` of C, or of Cᵀ.
void Rotation::cosine_row(std::int64_t row, bool transposed, float* to) const {
  const std::int64_t period = std::ssize(cosines_), step = transposed ? 2 * row + 1 : 2 * row;
  std::int64_t at = transposed ? 0 : row;
  for (std::int64_t i = 0; i < odd_; ++i, at -= at + step < period ? -step : period - step)
    to[i] = cosines_[static_cast<std::size_t>(at)];
  const auto least = static_cast<float>(std::sqrt(1 / static_cast<double>(odd_)));
  if (transposed)
    to[0] = least;
  else if (row == 0)
    std::fill_n(to, odd_, least);
}

/// x [odd, power, columns] becomes C x, or Cᵀ x, along its first dimension.
void Rotation::mix(float* x, std::int64_t columns, bool transposed) const {
  if (odd_ == 1) return;
  const std::int64_t width = power_ * columns;
  thread_local std::vector<float> from, factors;
  from.assign(x, x + odd_ * width);
  factors.resize(static_cast<std::size_t>(odd_));
  const auto mix_many = twin_for_cpu(mix_some_avx2, mix_some_avx2, mix_some_any);
  for (std::int64_t to = 0; to < odd_; ++to, x += width) {
    cosine_row(to, transposed, factors.data());
    std::int64_t k = 0;
    for (; k + kMixed <= width; k += kMixed)
      mix_many(from.data() + k, factors.data(), odd_, width, x + k);
    for (; k < width; ++k) {
      float sum = 0;
      for (std::int64_t i = 0; i < odd_; ++i)
        sum += factors[static_cast<std::size_t>(i)] * from[static_cast<std::size_t>(i * width + k)];
      x[k] = sum;
    }
  }
}

/// x [odd, power, columns] becomes (1 ⊗ H) x, up to a factor √power.
void Rotation::transform(float* x, std::int64_t columns) const {
  for (std::int64_t i = 0; i < odd_; ++i, x += power_ * columns)
    if (columns == 1)
      walsh_hadamard(x, power_);
    else
      walsh_hadamard(x, power_, columns);
}

void Rotation::apply(float* x, std::int64_t columns) const {
  scale_rows(x, signs_, columns);
  transform(x, columns);
  mix(x, columns, /*transposed=*/false);
}

void Rotation::undo(float* x, std::int64_t columns) const {
  mix(x, columns, /*transposed=*/true);
  transform(x, columns);
  scale_rows(x, signs_, columns);
}

void rotate(const Rotation& left, const Rotation& right, float* x) {
  both_sides(
      x, left.size(), right.size(), [&](float* row) { right.apply(row); },
      [&](float* strip, std::int64_t width) { left.apply(strip, width); });
}

void rotate_back(const Rotation& left, const Rotation& right, float* x) {
  both_sides(
      x, left.size(), right.size(), [&](float* row) { right.undo(row); },
      [&](float* strip, std::int64_t width) { left.undo(strip, width); });
}

}  // namespace karat
