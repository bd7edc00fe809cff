// Quadrature on the unit vector of the PQI dossier: F(x, y) = x² + xy + ½y⁴ from (1, 1) to
// (0.8, 1.3), where ΔF = 0.60805 and, exactly, −0.59 of it come from x and 1.19805 from y.
#include "recipe/quadrature.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "karat/error.h"

using namespace karat;

namespace {

constexpr double kChange = 0.608050;

/// Σ weight · gradient · step of x and y.
std::array<double, 2> integral(const std::vector<PathNode>& nodes) {
  constexpr double kStepX = -0.2, kStepY = 0.3;
  std::array<double, 2> sum{};
  for (const PathNode& node : nodes) {
    const double x = 1 + node.at * kStepX, y = 1 + node.at * kStepY;
    sum[0] += node.weight * (2 * x + y) * kStepX;
    sum[1] += node.weight * (x + 2 * y * y * y) * kStepY;
  }
  return sum;
}

double total(const std::string& rule, std::int64_t count) {
  const auto [x, y] = integral(path_nodes(rule, count));
  return x + y;
}

void check(const std::string& rule, const std::array<double, 3>& expected) {
  CAPTURE(rule);
  constexpr std::int64_t kCounts[] = {4, 8, 32};
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(std::abs(total(rule, kCounts[i]) - expected[i]) < 0.6e-6);  // six digits are given
}

}  // namespace

TEST_CASE("every rule gives the dossier's numbers") {
  check("midpoint", {0.607080, 0.607807, 0.608035});
  check("trapezoid", {0.609991, 0.608535, 0.608080});
  check("mean_endpoints", {0.618400, 0.612486, 0.609052});
  check("left", {0.525216, 0.566148, 0.597483});
  const auto [x, y] = integral(path_nodes("midpoint", 4));
  CHECK(x == doctest::Approx(-0.59).epsilon(1e-12));
  CHECK(y == doctest::Approx(1.197080).epsilon(1e-6));
  CHECK(total("left", 1) == doctest::Approx(0.3));  // first order: the gradient at w
  // As many nodes below a value as above it: left and right err alike, to opposite sides.
  CHECK((total("left", 8) + total("right", 8)) / 2 == doctest::Approx(total("trapezoid", 8)));
}

TEST_CASE("midpoint and trapezoid converge at second order, the others at first") {
  for (const std::string& rule : quadrature_rules()) {
    CAPTURE(rule);
    const bool second = rule == "midpoint" || rule == "trapezoid";
    const double ratio = (total(rule, 64) - kChange) / (total(rule, 128) - kChange);
    CHECK(std::log2(ratio) == doctest::Approx(second ? 2 : 1).epsilon(0.02));
  }
}

TEST_CASE("weights sum to one and nodes stay on the segment") {
  for (const std::string& rule : quadrature_rules())
    for (const std::int64_t count : {2, 3, 7, 10, 49}) {
      CAPTURE(rule);
      double sum = 0, last = -1;
      for (const PathNode& node : path_nodes(rule, count)) {
        sum += node.weight;
        CHECK(node.at > last);
        CHECK(node.at >= 0);
        CHECK(node.at <= 1);
        last = node.at;
      }
      CHECK(sum == doctest::Approx(1));
    }
  CHECK(path_nodes("mean_endpoints", 49).back().at == 1);
  CHECK_THROWS_AS(path_nodes("mean_endpoints", 1), Error);
  CHECK_THROWS_AS(path_nodes("midpoint", 0), Error);
  CHECK_THROWS_WITH_AS(path_nodes("simpson", 4), doctest::Contains("trapezoid"), Error);
}
