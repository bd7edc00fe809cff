// The errors that fits try lines by, against plain loops over a row.
#include <doctest/doctest.h>

#include <cmath>

#include "core/rng.h"
#include "grid/affine/line_error.h"
#include "grid/shared/gram_error.h"

using namespace karat;

namespace {

/// The nearest level in code space, the lower one on a tie.
double nearest(double position, const Levels& levels) {
  double best = levels.values[0];
  for (const float level : levels.values)
    if (std::abs(level - position) < std::abs(best - position)) best = level;
  return best;
}

std::vector<double> naive_errors(const std::vector<float>& weight, const Line& line,
                                 const Levels& levels) {
  std::vector<double> errors;
  for (const float w : weight)
    errors.push_back(line.scale * (nearest(w / line.scale + line.zero, levels) - line.zero) - w);
  return errors;
}

double naive_line_error(const std::vector<float>& weight, const std::vector<float>& cost,
                        const Line& line, const Levels& levels) {
  const std::vector<double> errors = naive_errors(weight, line, levels);
  double sum = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) sum += cost[i] * errors[i] * errors[i];
  return sum;
}

/// How far F32 may be off: every position, w / scale + zero, by some of its last bits.
double rounding(const std::vector<float>& weight, const std::vector<float>& cost, const Line& line,
                double error) {
  double most = std::abs(line.zero), costs = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    most = std::max(most, std::abs(weight[i] / line.scale) + std::abs(line.zero));
    costs += cost[i];
  }
  const double wrong = 0x1p-22 * most * line.scale * std::sqrt(costs);
  return 2 * wrong * std::sqrt(error) + wrong * wrong + 1e-5 * error;
}

std::vector<float> random_row(std::size_t n, double size, Rng& rng) {
  std::vector<float> row;
  for (std::size_t i = 0; i < n; ++i)
    row.push_back(static_cast<float>(std::pow(rng.uniform() * 2 - 1, 3) * size));
  return row;
}

/// Lines around the row's range, from far too narrow to far too wide, and off to either side.
std::vector<Line> random_lines(std::size_t count, double size, const Levels& levels, Rng& rng) {
  std::vector<Line> lines;
  for (std::size_t i = 0; i < count; ++i) {
    const double scale = 2 * size / levels.span() * std::exp(4 * rng.uniform() - 2);
    const double middle = (levels.values.front() + levels.values.back()) / 2;
    lines.push_back({scale, middle + (rng.uniform() - 0.5) * levels.span()});
  }
  return lines;
}

const std::vector<Levels> kLevels = {integer_levels(2), integer_levels(3), integer_levels(8),
                                     levels_of({.format = "nf4", .bits = 4}),
                                     levels_of({.format = "e2m1", .bits = 4})};

}  // namespace

TEST_CASE("a row's cost under a line is that of a plain loop") {
  Rng rng(1);
  for (const Levels& levels : kLevels)
    for (const std::size_t n : {1, 3, 16, 128}) {
      CAPTURE(n);
      CAPTURE(levels.values.size());
      const std::vector<float> weight = random_row(n, 0.05, rng);
      std::vector<float> cost = random_row(n, 1, rng);
      for (float& c : cost) c = std::abs(c);
      cost[0] = n > 1 ? 0 : 1;
      LineError error(levels, weight, cost);
      const std::vector<Line> lines = random_lines(40, 0.05, levels, rng);
      for (std::size_t i = 0; i < lines.size(); i += LineError::kLanes) {
        const auto found = error.of({&lines[i], LineError::kLanes});
        for (std::size_t k = 0; k < LineError::kLanes; ++k) {
          const double naive = naive_line_error(weight, cost, lines[i + k], levels);
          const double off = rounding(weight, cost, lines[i + k], naive);
          CHECK(std::abs(found[k] - naive) <= off);
          CHECK(error.of(lines[i + k]) == found[k]);
        }
      }
    }
}

TEST_CASE("lines that are none cost infinitely much") {
  const std::vector<float> weight = {1, 2, 3}, cost = {1, 1, 1};
  for (const Levels& levels : kLevels) {
    LineError error(levels, weight, cost);
    for (const Line line : {Line{0, 0}, Line{-1, 0}, Line{NAN, 0}, Line{1, NAN}, Line{1, INFINITY}})
      CHECK(error.of(line) == INFINITY);
    CHECK(error.of(Line{1e-300, 0}) > 0);
  }
}

TEST_CASE("a regression holds the codes and finds the line that no neighbour betters") {
  Rng rng(2);
  for (const Levels& levels : kLevels) {
    CAPTURE(levels.values.size());
    const std::vector<float> weight = random_row(64, 0.05, rng);
    std::vector<float> cost = random_row(64, 1, rng);
    for (float& c : cost) c = std::abs(c);
    LineError error(levels, weight, cost);
    const Line line{0.1 / levels.span(), 0.1 + (levels.values.front() + levels.values.back()) / 2};
    std::vector<double> held;
    for (const float w : weight) held.push_back(nearest(w / line.scale + line.zero, levels));
    const auto with_codes = [&](const Line& by) {
      double sum = 0;
      for (std::size_t i = 0; i < weight.size(); ++i)
        sum += cost[i] * std::pow(by.scale * (held[i] - by.zero) - weight[i], 2);
      return sum;
    };
    const Line found = error.regress(line);
    const double least = with_codes(found);
    CHECK(least < with_codes(line));
    for (const double by : {-1e-3, 1e-3}) {
      CHECK(with_codes({found.scale * (1 + by), found.zero}) > least);
      CHECK(with_codes({found.scale, found.zero + by}) > least);
    }
  }
}

namespace {

void check_gram_error(std::size_t n, const Levels& levels, bool with_kept, Rng& rng) {
  std::vector<double> x, gram(n * n, 0);  // of n/2 + 1 tokens: singular
  for (std::size_t i = 0; i < n * (n / 2 + 1); ++i) x.push_back(rng.uniform() + 0.5 * (i % 3));
  for (std::size_t t = 0; t <= n / 2; ++t)
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < n; ++k) gram[i * n + k] += x[t * n + i] * x[t * n + k];
  GramError error(gram, levels.values);
  for (int row = 0; row < 2; ++row) {  // the second one finds what the first has left
    const std::vector<float> weight = random_row(n, 0.05, rng);
    const auto kept = std::make_unique<bool[]>(n);
    for (std::size_t i = 0; with_kept && i < n; ++i) kept[i] = rng.uniform() < 0.2;
    std::vector<double> h_one(n), h_weight(n);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 0; k < n; ++k) {
        h_one[i] += gram[i * n + k] * (kept[k] ? 0 : 1);
        h_weight[i] += gram[i * n + k] * (kept[k] ? 0 : weight[k]);
      }
    error.begin({weight, {kept.get(), with_kept ? n : 0}, h_one, h_weight});
    for (const Line& line : random_lines(n > 512 ? 4 : 30, 0.05, levels, rng)) {
      std::vector<double> e = naive_errors(weight, line, levels);
      for (std::size_t i = 0; i < n; ++i) e[i] = kept[i] ? 0 : e[i];
      double sum = 0, size = 0;
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t k = 0; k < n; ++k) {
          sum += e[i] * gram[i * n + k] * e[k];
          size += std::abs(weight[i] * gram[i * n + k] * weight[k]);
        }
      CHECK(std::abs(error.of(line.scale, line.zero) - sum) <= 1e-9 * (sum + size));
    }
  }
}

}  // namespace

TEST_CASE("eᵀHe of a line is that of two plain loops, by table and by product") {
  Rng rng(3);
  for (const bool kept : {false, true})
    for (const Levels& levels : kLevels)
      for (const std::size_t n : {1, 2, 16, 100}) {
        CAPTURE(kept);
        CAPTURE(n);
        CAPTURE(levels.values.size());
        check_gram_error(n, levels, kept, rng);
      }
  check_gram_error(600, kLevels[3], true, rng);
}
