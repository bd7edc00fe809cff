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
