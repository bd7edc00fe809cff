// What tuners have in common that learn over the whole model (or, asked to, over blocks): options,
// and the way down.
#pragma once

#include "karat/options.h"
#include "tuner/shared/leaf_adam.h"

namespace karat {

struct EndToEnd {
  std::string owner;  // "e2e-qp"
  std::int64_t iterations = 0, batch = 0;
  double held_out = 0;  // share of the sequences that judge and are not trained on
  TunedOn on = TunedOn::divergence;
};
/// Reads the options iterations, batch, held and loss.
EndToEnd end_to_end(const std::string& owner, Options& given, std::int64_t iterations,
                    std::int64_t batch);
/// All of a descent but who updates.
Descent descent_of(const EndToEnd& options, const TunedLoss& loss);

/// A tuner of one thing; `weights` as Tuning has it.
using TuneFn = std::function<std::vector<Solution>(const std::vector<TunedLayer>& layers,
                                                   const TunedLoss& loss)>;
Tuner end_to_end_tuner(const EndToEnd& options, bool weights, const TuneFn& tune);

/// Trains the leaves of states by AdamW, `rates` being of each state's leaves.
template <class State>
std::vector<Solution> descend_by_adam(const EndToEnd& options, const std::vector<double>& rates,
                                      const std::vector<State>& states,
                                      const std::vector<TunedLayer>& layers,
                                      const TunedLoss& loss) {
  LeafAdam adam(leaves_of(states), rates, options.iterations);
  Descent descent = descent_of(options, loss);
  descent.update = [&](std::int64_t step, auto& all, const auto& gradients) {
    adam.update(step, all, gradients);
  };
  descent.memory = adam.memory();
  return descend(descent, states, layers, loss);
}

}  // namespace karat
