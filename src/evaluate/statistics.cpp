#include "evaluate/statistics.h"

#include <algorithm>
#include <cmath>

namespace karat {

double Mean::standard_error() const {
  if (count_ < 2) return 0;
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

Perplexity perplexity_of(const Mean& nll) {
  const double value = std::exp(nll.value());
  return {value, value * nll.standard_error(), nll.value()};
}

RoundedActivations compare_perplexity(std::span<const double> first,
                                      std::span<const double> second) {
  Mean a, b, change, error;
  for (std::size_t i = 0; i < first.size(); ++i) {
    a.add(first[i]);
    b.add(second[i]);
    change.add(second[i] - first[i]);
  }
  RoundedActivations result{.perplexity = perplexity_of(b)};
  result.difference = result.perplexity.value - perplexity_of(a).value;
  // P_b·b − P_a·a, written so that nearly equal numbers are not subtracted.
  for (std::size_t i = 0; i < first.size(); ++i)
    error.add(result.perplexity.value * (second[i] - first[i]) + result.difference * first[i]);
  result.standard_error = error.standard_error();
  result.nll_difference = change.value();
  result.nll_standard_error = change.standard_error();
  return result;
}

double quantile(std::vector<float>& values, double q) {
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  const double share = place - static_cast<double>(below);
  return (1 - share) * static_cast<double>(values[below]) +
         share * static_cast<double>(values[above]);
}

}  // namespace karat
