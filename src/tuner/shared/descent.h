// Going down a block's loss: what every tuner does, whatever it learns and however it steps.
#pragma once

#include "karat/axes.h"

namespace karat {

/// What is learned of a layer, and what it makes of the weights.
struct Learned {
  std::vector<torch::Tensor> leaves = {};  // F32, changed in place
  /// [out, in]; differentiable in the leaves when a graph is recorded.
  std::function<torch::Tensor()> weights = {};
};

struct Descent {
  std::string owner;  // named in errors: "tuner signround"
  std::int64_t steps = 0, batch = 0;
  /// Changes the leaves by their gradients, given layer by layer; step counts from 0.
  std::function<void(std::int64_t step, std::vector<Learned>& layers,
                     const std::vector<std::vector<torch::Tensor>>& gradients)>
      update = {};
};

/// Leaves behind, of three, the leaves with the least loss over the whole text: those it began
/// with, those with the least loss of a batch, and the last ones. Batches go through the text in an
/// order that is drawn anew each time. Throws Error when a loss is not finite.
void descend(const Descent& descent, std::vector<Learned>& layers, const BlockLoss& loss);

/// The same of layers that have leaves(), weights() and solution(start) each: what they end as.
template <class State>
std::vector<Solution> descend(const Descent& descent, const std::vector<State>& states,
                              const std::vector<TunedLayer>& layers, const BlockLoss& loss) {
  std::vector<Learned> learned;
  for (const State& state : states)
    learned.push_back({state.leaves(), [&state] { return state.weights(); }});
  descend(descent, learned, loss);
  std::vector<Solution> solutions;
  for (std::size_t i = 0; i < layers.size(); ++i)
    solutions.push_back(states[i].solution(layers[i].start));
  return solutions;
}

}  // namespace karat
