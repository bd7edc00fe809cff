#include "tuner/shared/training_optimizer.h"

namespace karat {

NamedOptimizer make_training_optimizer(std::string_view text) {
  return make_named(training_optimizer_table(), "optimizer", text);
}

Rng draws_of(const OptimizerStep& step, std::string_view name) {
  std::uint64_t mixed = Rng(step.scene.seed ^ 0x501050105010u).next();  // apart from other streams
  mixed = Rng(mixed + static_cast<std::uint64_t>(step.number)).next();
  for (const char letter : name) mixed = Rng(mixed + static_cast<unsigned char>(letter)).next();
  return Rng(mixed);
}

Weights zero_moments(const Weights& weights) {
  Weights state;
  for (const auto& [name, weight] : weights)
    for (const char* moment : {"first.", "second."})
      state[moment + name] = torch::zeros_like(weight.detach());
  return state;
}

}  // namespace karat
