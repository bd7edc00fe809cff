#include "tuner/shared/sagm.h"

#include <cmath>

namespace karat {
namespace {

constexpr double kLeastShare = 0.1;  // of a positive leaf, that a perturbation leaves
constexpr double kNoNorm = 1e-12;    // added to ‖g‖, as SAGM's authors do

double norm_of(const Weights& gradients) {
  double sum = 0;
  for (const auto& [name, gradient] : gradients) {
    const auto norm = gradient.norm().item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

/// Moves leaves and brings them back.
class Moved {
 public:
  Moved(Weights& leaves, const Weights& direction, double factor,
        const std::set<std::string>& positive)
      : leaves_(leaves) {
    const torch::NoGradGuard no_grad;
    for (auto& [name, leaf] : leaves) {
      before_[name] = leaf.detach().clone();
      torch::Tensor values = leaf.detach();  // the same memory
      values.add_(direction.at(name), factor);
      if (positive.contains(name))
        values.copy_(torch::maximum(values, before_.at(name) * kLeastShare));
    }
  }
  ~Moved() {
    for (auto& [name, leaf] : leaves_) leaf.detach().copy_(before_.at(name));
  }
  Moved(const Moved&) = delete;
  Moved& operator=(const Moved&) = delete;

 private:
  Weights& leaves_;
  Weights before_;
};

}  // namespace

GradientPair sagm_pair(Weights& leaves, const SagmOptions& options,
                       const std::set<std::string>& positive,
                       const std::function<Weights()>& gradients) {
  GradientPair pair{gradients(), {}};
  const double factor = options.rho / (norm_of(pair.task) + kNoNorm) - options.alpha;
  const Moved moved(leaves, pair.task, factor, positive);
  pair.smooth = gradients();
  return pair;
}

}  // namespace karat
