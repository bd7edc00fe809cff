// The constants of the Gaussian grids, found again by minimising, and the trust mask's share.
#include "tuner/shared/gaussian_grid.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "karat/error.h"

namespace karat {
namespace {

double upper_tail(double x) {
  return 0.5 * std::erfc(x / std::numbers::sqrt2);
}

/// E (ξ − q(ξ))² for ξ of N(0, 1) and q the nearest of ± `values` (ascending, from 0 up): the
/// integral of each value's cell in closed form.
double gaussian_error(const std::vector<double>& values) {
  const auto density = [](double x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
  };
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool last = i + 1 == values.size();
    const double v = values[i], a = i == 0 ? 0 : (values[i - 1] + v) / 2;
    const double b = last ? INFINITY : (v + values[i + 1]) / 2;
    const double mass = upper_tail(a) - (last ? 0 : upper_tail(b));
    const double first = density(a) - (last ? 0 : density(b));
    const double second = mass + a * density(a) - (last ? 0 : b * density(b));
    sum += second - 2 * v * first + v * v * mass;
  }
  return 2 * sum;
}

std::vector<double> scaled(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

/// 2^bits values one step apart, the outermost at 1: those above zero.
std::vector<double> uniform_values(int bits) {
  std::vector<double> values;
  const double count = std::ldexp(1.0, bits);
  for (double i = 1; i < count; i += 2) values.push_back(i / (count - 1));
  return values;
}

/// Where f is least, by golden section.
double least(const std::function<double(double)>& f, double low, double high) {
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  while (high - low > 1e-9) {
    const double a = high - ratio * (high - low), b = low + ratio * (high - low);
    (f(a) < f(b) ? high : low) = f(a) < f(b) ? b : a;
  }
  return (low + high) / 2;
}

TEST_CASE("clip values and errors are those that minimising finds") {
  const std::vector<double> errors = {0.3633802276, 0.1188460504, 0.0374396594, 0.0115428845};
  for (int bits = 1; bits <= 8; ++bits) {
    CAPTURE(bits);
    const auto values = uniform_values(bits);
    const auto error = [&](double clip) { return gaussian_error(scaled(values, clip)); };
    const GaussianGrid grid = gaussian_grid(bits);
    const double best = least(error, 0.3, 6);
    CHECK(error(grid.clip) - error(best) < 1e-6);
    CHECK(std::abs(grid.clip - best) < (bits <= 5 ? 1e-4 : 0.04));
    CHECK(grid.half_gap == doctest::Approx(grid.clip / (std::ldexp(1.0, bits) - 1)));
    if (bits <= 4) CHECK(std::abs(error(grid.clip) - errors[std::size_t(bits - 1)]) < 1e-9);
    if (bits == 8) CHECK(std::abs(error(grid.clip) - 8.782117814e-05) < 1e-9);
  }
  CHECK(std::abs(gaussian_grid(1).clip - std::sqrt(2 / std::numbers::pi)) < 1e-12);
}

TEST_CASE("E2M1 has the scale that minimising finds") {
  const std::vector<double> values = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const auto error = [&](double scale) { return gaussian_error(scaled(values, scale)); };
  const GaussianGrid grid = gaussian_e2m1_grid();
  CHECK(std::abs(grid.clip / 6 - least(error, 0.2, 0.8)) < 1e-6);
  CHECK(std::abs(error(grid.clip / 6) - 0.0126849041) < 1e-9);
  CHECK(grid.half_gap == doctest::Approx(grid.clip / 6));
}

TEST_CASE("rows are rounded to the nearest value, with the error the theory says") {
  torch::manual_seed(1);
  const auto x = torch::randn({512, 512}, torch::kFloat64) *
                 torch::linspace(1, 3, 512, torch::kFloat64).unsqueeze(1);
  const auto sigma = x.square().mean(-1, true).sqrt();
  const auto check = [&](const GaussianGrid& grid, std::vector<double> values) {
    CAPTURE(grid.bits);
    const auto rounded = round_gaussian(x, grid);
    std::vector<double> all = values;
    for (const double value : values) all.push_back(-value);
    const auto table = torch::tensor(all, torch::kFloat64);
    const auto distance = (x.unsqueeze(-1) / sigma.unsqueeze(-1) - table).abs().amin(-1);
    CHECK(((x - rounded.value).abs() / sigma - distance).abs().max().item<double>() < 2e-6);
    const double error = ((x - rounded.value) / sigma).square().mean().item<double>();
    CHECK(error == doctest::Approx(gaussian_error(values)).epsilon(0.02));
  };
  for (const int bits : {1, 2, 3, 4, 8})
    check(gaussian_grid(bits), scaled(uniform_values(bits), gaussian_grid(bits).clip));
  check(gaussian_e2m1_grid(), scaled({0, 0.5, 1, 1.5, 2, 3, 4, 6}, gaussian_e2m1_grid().clip / 6));
}

TEST_CASE("the masked share is the Gaussian tail, and the rule is an error of half a step") {
  torch::manual_seed(2);
  const auto x = torch::randn({1024, 1024}, torch::kFloat64);
  const auto sigma = x.square().mean(-1, true).sqrt();
  const auto check = [&](const GaussianGrid& grid) {
    CAPTURE(grid.bits);
    const auto rounded = round_gaussian(x, grid);
    const double masked = 1 - rounded.trusted.to(torch::kFloat64).mean().item<double>();
    const double expected = 2 * upper_tail(grid.reach);
    const double spread = std::sqrt(expected / static_cast<double>(x.numel()));
    CHECK(std::abs(masked - expected) < 5 * spread);
    const auto by_error = (x - rounded.value).abs() <= sigma * grid.half_gap;
    return (by_error != rounded.trusted).sum().item<std::int64_t>();
  };
  for (const int bits : {1, 2, 3, 4, 5, 8}) {
    const GaussianGrid grid = gaussian_grid(bits);
    CHECK(grid.reach == doctest::Approx(grid.clip * (1 + 1 / (std::ldexp(1.0, bits) - 1))));
    CHECK(check(grid) <= 2);  // where a rounding error is half a step to the last bit
  }
  CHECK(check(gaussian_e2m1_grid()) <= 2);
  const GaussianGrid narrow = gaussian_grid(1, 1.3);
  CHECK(narrow.reach == doctest::Approx(1.3 * narrow.clip));
  CHECK(check(narrow) > 1000);
}

TEST_CASE("4:8 pairs: half is zero, what stays is as dense, what went is trusted where small") {
  torch::manual_seed(4);
  const auto x = torch::randn({16, 64}, torch::kFloat64);
  const GaussianGrid grid = gaussian_grid(4);
  const auto dense = round_gaussian(x, grid), sparse = round_gaussian(x, grid, true);
  const auto sigma = x.square().mean(-1, true).sqrt();
  const auto pairs = x.view({16, 8, 4, 2}).square().sum(-1);
  const auto zeros = (sparse.value.view({16, 8, 4, 2}) == 0).all(-1);
  CHECK(torch::equal(zeros.sum(-1), torch::full({16, 8}, 2)));
  const auto largest_gone = pairs.masked_fill(~zeros, 0).amax(-1);
  const auto smallest_kept = pairs.masked_fill(zeros, 1e9).amin(-1);
  CHECK((largest_gone <= smallest_kept).all().item<bool>());
  const auto gone = zeros.unsqueeze(-1).expand({16, 8, 4, 2}).reshape({16, 64});
  CHECK(torch::equal(sparse.value.masked_fill(gone, 7), dense.value.masked_fill(gone, 7)));
  const auto expected = torch::where(gone, x.abs() <= sigma * grid.half_gap, dense.trusted);
  CHECK(torch::equal(sparse.trusted, expected));
  CHECK_FALSE(expected.masked_select(gone).all().item<bool>());
}

TEST_CASE("a row of zeros stays finite, and bits out of range are refused") {
  const auto rounded = round_gaussian(torch::zeros({2, 8}), gaussian_grid(2));
  CHECK(rounded.value.abs().max().item<float>() < 1e-7);
  CHECK_THROWS_AS(gaussian_grid(0), Error);
  CHECK_THROWS_AS(gaussian_grid(9), Error);
}

}  // namespace
}  // namespace karat
