#include "core/levels.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "karat/error.h"

using namespace karat;

TEST_CASE("levels: vectors round as one number does, edges and what is beyond them included") {
  Rng rng(3);
  for (int bits = 1; bits <= 8; ++bits)
    for (const float step : {0.25f, 0.1f, 3e-7f}) {
      std::vector<float> x;
      for (int level = -300; level <= 300; ++level)  // on an edge, just below, somewhere
        for (const float more : {0.0f, -1e-6f, static_cast<float>(rng.uniform())})
          x.push_back((static_cast<float>(level) + more) * step);
      for (const float far : {1e30f, -1e30f, 0.0f, -0.0f, 1e-40f, -1e-40f}) x.push_back(far);
      std::vector<float> rounded = x;
      odd_levels(rounded.data(), std::ssize(rounded), step, bits);
      const double most = std::ldexp(1.0, bits) - 1;
      for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(rounded[i] == odd_level(x[i], step, bits));
        CHECK(std::fabs(rounded[i]) <= most);
        CHECK(std::fabs(std::fmod(rounded[i], 2)) == 1);
        const double r = double(x[i]) / step;
        if (std::fabs(r) < most / 2)
          CHECK(std::fabs(r - rounded[i] / 2) <= 0.5 + 1e-6 * std::fabs(r));
      }
    }
}

TEST_CASE("levels: sums of squares and largest magnitudes, of any length") {
  Rng rng(4);
  for (const std::int64_t n : {1, 7, 32, 33, 1000}) {
    std::vector<float> x(static_cast<std::size_t>(n));
    double sum = 0;
    float top = 0;
    for (float& value : x) {
      value = static_cast<float>(2 * rng.uniform() - 1);
      sum += double(value) * value;
      top = std::max(top, std::fabs(value));
    }
    CHECK(square_sum(x.data(), n) == doctest::Approx(sum).epsilon(1e-6));
    CHECK(largest_magnitude(x.data(), n) == top);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -INFINITY}) {
      x[static_cast<std::size_t>(n / 2)] = bad;
      CHECK_FALSE(std::isfinite(square_sum(x.data(), n)));
      CHECK_FALSE(std::isfinite(largest_magnitude(x.data(), n)));
    }
  }
}

TEST_CASE("levels: Gaussian clip values are of 1 to 8 bits") {
  CHECK(gaussian_clip(4) == doctest::Approx(2.5139305786));
  CHECK_THROWS_AS(gaussian_clip(0), Error);
  CHECK_THROWS_AS(gaussian_clip(9), Error);
}
