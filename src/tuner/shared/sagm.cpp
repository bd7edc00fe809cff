#include "tuner/shared/sagm.h"

#include "tuner/shared/adamw.h"

namespace karat {
namespace {

constexpr double kNoNorm = 1e-12;  // added to ‖g‖, as SAGM's authors do

}  // namespace

SagmOptions sagm_options(Options& options) {
  return {.rho = options.number("rho", 0.05, 0, 10, "length of the move uphill"),
          .alpha = options.number("alpha", 1e-3, 0, 1,
                                  "share of the gradient by which it is taken back")};
}

GradientPair sagm_pair(const Weights& values, const SagmOptions& options, const GradientsAt& at) {
  GradientPair pair{at(values), {}};
  const torch::NoGradGuard no_grad;
  const double move = options.rho / (gradient_norm(pair.task.gradients) + kNoNorm) - options.alpha;
  Weights moved;
  for (const auto& [name, value] : values)
    moved[name] = value.detach().add(pair.task.gradients.at(name), move);
  pair.smooth = at(moved).gradients;
  return pair;
}

}  // namespace karat
