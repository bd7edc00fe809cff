// The rotation against its definition, entry by entry.
#include "core/rotation.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <numbers>

#include "core/rng.h"
#include "core/threads.h"
#include "karat/error.h"

using namespace karat;

namespace {

using Matrix = std::vector<std::vector<double>>;

/// R = (C ⊗ H)·diag(±1) of docs/format.md.
Matrix definition(std::int64_t n, std::uint32_t seed, Rotation::Side side) {
  std::int64_t power = 1, odd = n;
  for (; odd % 2 == 0; odd /= 2) power *= 2;
  Rng rng(2 * std::uint64_t{seed} + (side == Rotation::Side::outputs ? 1 : 0));
  std::vector<std::uint64_t> words;
  for (std::int64_t i = 0; i < n; i += 64) words.push_back(rng.next());
  Matrix r(n, std::vector<double>(n));
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t j = row / power, b = i / power;
      const auto common = static_cast<std::uint64_t>(row % power & i % power);
      const double hadamard = std::popcount(common) % 2 == 0 ? 1 : -1;
      const double angle = std::numbers::pi * static_cast<double>((2 * b + 1) * j) / (2.0 * odd);
      const double cosine = std::sqrt((j == 0 ? 1.0 : 2.0) / odd) * std::cos(angle);
      const bool negative = words[i / 64] >> i % 64 & 1;
      r[row][i] = (negative ? -1 : 1) * hadamard * cosine / std::sqrt(power);
    }
  return r;
}

std::vector<float> random_numbers(std::int64_t n, Rng& rng) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& value : x) value = static_cast<float>(rng.uniform() * 2 - 1);
  return x;
}

constexpr std::int64_t kSizes[] = {1, 2, 3, 8, 12, 43, 64, 172, 176};

}  // namespace

TEST_CASE("apply and undo are the products with R and its transpose, one column or several") {
  Rng rng(1);
  for (const std::int64_t n : kSizes)
    for (const auto side : {Rotation::Side::inputs, Rotation::Side::outputs})
      for (const std::int64_t columns : {1, 3}) {
        const Rotation rotation(n, 7, side);
        const Matrix r = definition(n, 7, side);
        const std::vector<float> x = random_numbers(n * columns, rng);
        std::vector<float> y = x, z = x;
        rotation.apply(y.data(), columns);
        rotation.undo(z.data(), columns);
        double worst = 0;
        for (std::int64_t row = 0; row < n; ++row)
          for (std::int64_t c = 0; c < columns; ++c) {
            double there = 0, back = 0;
            for (std::int64_t i = 0; i < n; ++i) {
              there += r[row][i] * x[i * columns + c];
              back += r[i][row] * x[i * columns + c];
            }
            worst = std::max({worst, std::abs(there - y[row * columns + c]),
                              std::abs(back - z[row * columns + c])});
          }
        CAPTURE(n);
        CHECK(rotation.size() == n);
        CHECK(worst < 2e-6);
      }
}

TEST_CASE("R is orthonormal, and no entry is beyond the square root of 2/n") {
  for (const std::int64_t n : kSizes) {
    const Matrix r = definition(n, 0, Rotation::Side::inputs);
    for (std::int64_t a = 0; a < n; ++a)
      for (std::int64_t b = 0; b < n; ++b) {
        double product = 0;
        for (std::int64_t i = 0; i < n; ++i) product += r[a][i] * r[b][i];
        CHECK(product == doctest::Approx(a == b ? 1 : 0).epsilon(1e-12));
        CHECK(std::abs(r[a][b]) <= std::sqrt(2.0 / static_cast<double>(n)) + 1e-12);
      }
  }
}

TEST_CASE("sides and seeds differ, and a column alone gives the bits it gives among others") {
  Rng rng(2);
  const std::vector<float> x = random_numbers(96, rng);
  const auto rotated = [&](std::uint32_t seed, Rotation::Side side) {
    std::vector<float> y = x;
    Rotation(96, seed, side).apply(y.data());
    return y;
  };
  CHECK(rotated(3, Rotation::Side::inputs) == rotated(3, Rotation::Side::inputs));
  CHECK(rotated(3, Rotation::Side::inputs) != rotated(4, Rotation::Side::inputs));
  CHECK(rotated(3, Rotation::Side::inputs) != rotated(3, Rotation::Side::outputs));
  CHECK_THROWS_AS(Rotation(0, 1, Rotation::Side::inputs), Error);

  const Rotation rotation(96, 3, Rotation::Side::inputs);
  std::vector<float> wide(96 * 5);
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = i % 5 == 2 ? x[i / 5] : 0.5f;
  rotation.apply(wide.data(), 5);
  const std::vector<float> alone = rotated(3, Rotation::Side::inputs);
  for (std::size_t i = 0; i < 96; ++i) CHECK(wide[5 * i + 2] == alone[i]);
}

TEST_CASE("a matrix is rotated on both sides and back, whatever the threads") {
  Rng rng(3);
  for (const auto& [out, in] : {std::pair{1, 1}, {24, 172}, {172, 64}, {33, 70}}) {
    const Rotation left(out, 5, Rotation::Side::outputs), right(in, 5, Rotation::Side::inputs);
    const Matrix l = definition(out, 5, Rotation::Side::outputs);
    const Matrix r = definition(in, 5, Rotation::Side::inputs);
    const std::vector<float> w = random_numbers(out * in, rng);
    std::vector<float> rotated = w, again = w;
    const auto rotate_on = [&](int threads, std::vector<float>& matrix) {
      const ThreadScope scope(threads);
      rotate(left, right, matrix.data());
    };
    rotate_on(1, rotated);
    rotate_on(3, again);
    CHECK(rotated == again);
    double worst = 0;
    for (int o = 0; o < out; ++o)
      for (int i = 0; i < in; ++i) {
        double sum = 0;
        for (int a = 0; a < out; ++a)
          for (int b = 0; b < in; ++b) sum += l[o][a] * w[a * in + b] * r[i][b];
        worst = std::max(worst, std::abs(sum - rotated[o * in + i]));
      }
    CHECK(worst < 4e-6);
    rotate_back(left, right, rotated.data());
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(std::abs(rotated[i] - w[i]) < 4e-6f);
  }
}
