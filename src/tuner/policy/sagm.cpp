// SAGM (Wang et al., CVPR 2023, arXiv 2303.15909): the loss, and the loss of weights moved uphill
// by a fixed length and back by a share of the gradient; flat minima have both low. What a
// quantizer learns is moved with the weights.
#include <cmath>

#include "tuner/shared/training_policy.h"

namespace karat {
namespace {

double norm_of(const Weights& gradients) {
  double sum = 0;
  for (const auto& [name, gradient] : gradients) {
    const auto norm = gradient.norm().item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

}  // namespace

TrainingPolicy sagm_policy(Options& options) {
  const double rho = options.number("rho", 0.05, 0, 10, "length of the move uphill");
  const double alpha =
      options.number("alpha", 1e-3, 0, 1, "share of the gradient by which it is taken back");
  return {.summary = "flat minima: two passes a step (arXiv 2303.15909)",
          .gradients = [rho, alpha](const Weights& values, const GradientsAt& at) {
            LossAndGradients result = at(values);
            const torch::NoGradGuard no_grad;
            const double move = rho / (norm_of(result.gradients) + 1e-12) - alpha;
            Weights moved;
            for (const auto& [name, value] : values)
              moved[name] = value.detach().add(result.gradients.at(name), move);
            const LossAndGradients there = at(moved);
            for (auto& [name, gradient] : result.gradients)
              gradient = gradient.add(there.gradients.at(name)).mul_(0.5);
            return result;
          }};
}

}  // namespace karat
