#include "core/rotation.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

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

void scale_rows(float* x, const std::vector<float>& factors, std::int64_t columns) {
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

Rotation::Rotation(std::int64_t n, std::uint32_t seed, Side side)
    : odd_(n), signs_(static_cast<std::size_t>(std::max<std::int64_t>(n, 0))) {
  if (n < 1) fail("rotation", "a size of " + std::to_string(n), "at least 1");
  for (; odd_ % 2 == 0; odd_ /= 2) power_ *= 2;
  const auto factor = static_cast<float>(1 / std::sqrt(static_cast<double>(power_)));
  Rng rng(2 * std::uint64_t{seed} + (side == Side::outputs ? 1 : 0));
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

float Rotation::cosine(std::int64_t row, std::int64_t column) const {
  if (row == 0) return static_cast<float>(std::sqrt(1 / static_cast<double>(odd_)));
  return cosines_[static_cast<std::size_t>((2 * column + 1) * row % (4 * odd_))];
}

/// x [odd, power, columns] becomes C x, or Cᵀ x, along its first dimension.
void Rotation::mix(float* x, std::int64_t columns, bool transposed) const {
  if (odd_ == 1) return;
  const std::int64_t width = power_ * columns;
  const std::vector<float> from(x, x + odd_ * width);
  std::fill_n(x, odd_ * width, 0.0f);
  for (std::int64_t to = 0; to < odd_; ++to, x += width)
    for (std::int64_t i = 0; i < odd_; ++i) {
      const float factor = transposed ? cosine(i, to) : cosine(to, i);
      const float* term = from.data() + i * width;
      for (std::int64_t k = 0; k < width; ++k) x[k] += factor * term[k];
    }
}

void Rotation::apply(float* x, std::int64_t columns) const {
  scale_rows(x, signs_, columns);
  for (std::int64_t i = 0; i < odd_; ++i) walsh_hadamard(x + i * power_ * columns, power_, columns);
  mix(x, columns, /*transposed=*/false);
}

void Rotation::undo(float* x, std::int64_t columns) const {
  mix(x, columns, /*transposed=*/true);
  for (std::int64_t i = 0; i < odd_; ++i) walsh_hadamard(x + i * power_ * columns, power_, columns);
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
