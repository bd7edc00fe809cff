#include "tuner/shared/training_optimizer.h"

namespace karat {

NamedOptimizer make_training_optimizer(std::string_view text) {
  return make_named(training_optimizer_table(), "optimizer", text);
}

Weights zero_moments(const Weights& weights) {
  Weights state;
  for (const auto& [name, weight] : weights)
    for (const char* moment : {"first.", "second."})
      state[moment + name] = torch::zeros_like(weight.detach());
  return state;
}

}  // namespace karat
