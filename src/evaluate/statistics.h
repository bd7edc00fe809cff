// Sums over scored tokens, and what is told of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "karat/evaluate.h"

namespace karat {

/// Mean and the standard error of the mean, of values taken as independent (Welford 1962).
class Mean {
 public:
  void add(double value) {
    ++count_;
    const double change = value - mean_;
    mean_ += change / static_cast<double>(count_);
    squares_ += change * (value - mean_);
  }
  std::int64_t count() const { return count_; }
  double value() const { return mean_; }
  double standard_error() const;  // s/√n with s² = squares/(n − 1); 0 for fewer than two values

 private:
  std::int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

/// exp(mean) of negative log-likelihoods, and its standard error by the delta method.
Perplexity perplexity_of(const Mean& nll);

/// Of the second negative log-likelihoods beside the first ones, of the same tokens. The standard
/// error of exp(mean b) − exp(mean a) is that of the mean of exp(mean b)·b − exp(mean a)·a.
RoundedActivations compare_perplexity(std::span<const double> first,
                                      std::span<const double> second);

/// Quantile 0 ≤ q ≤ 1 with linear interpolation between order statistics; sorts `values`.
double quantile(std::vector<float>& values, double q);

}  // namespace karat
