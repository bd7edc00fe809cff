#include "tuner/policy/gaqat.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {

GaqatGate::GaqatGate(const Weights& scales, const GaqatOptions& options) : options_(options) {
  if (options.window < 2)
    fail("gaqat", fmt::format("a window of {} steps", options.window), "2 or more",
         "a change of sign takes two");
  if (!(options.threshold >= 0 && options.threshold <= 1))
    fail("gaqat", fmt::format("threshold {}", options.threshold), "0 to 1",
         "it is a share of steps");
  for (const auto& [name, scale] : scales) {
    flips_[name] = torch::zeros(scale.sizes());
    apart_[name] = torch::zeros(scale.sizes());
    frozen_[name] = torch::zeros(scale.sizes(), torch::kBool);
  }
}

Weights GaqatGate::combine(const Weights& task, const Weights& smooth) {
  const torch::NoGradGuard no_grad;
  Weights combined;
  for (auto& [name, frozen] : frozen_) {
    const torch::Tensor &one = task.at(name), &other = smooth.at(name), sign = one.sign();
    if (seen_ > 0) flips_.at(name).add_(sign != sign_.at(name));
    apart_.at(name).add_(sign != other.sign());
    sign_[name] = sign;
    combined[name] = torch::where(frozen, other, (one + other) * 0.5);
  }
  if (++seen_ == options_.window) decide();
  return combined;
}

void GaqatGate::decide() {
  const auto steps = static_cast<double>(options_.window);
  for (auto& [name, frozen] : frozen_) {
    disorder_[name] = flips_.at(name) / (steps - 1);
    conflict_[name] = apart_.at(name) / steps;
    const torch::Tensor calm = disorder_.at(name) < options_.threshold;
    frozen = options_.thaws ? calm : frozen | calm;
    flips_.at(name).zero_();
    apart_.at(name).zero_();
  }
  seen_ = 0;
}

}  // namespace karat
