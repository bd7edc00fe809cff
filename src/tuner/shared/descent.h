// Going down a loss: what every tuner does, whatever it learns and however it steps.
#pragma once

#include "karat/axes.h"

namespace karat {

/// What is learned of a layer, and what it makes of the weights.
struct Learned {
  std::vector<torch::Tensor> leaves = {};  // F32, changed in place
  /// [out, in]; differentiable in the leaves when a graph is recorded.
  std::function<torch::Tensor()> weights = {};
};
using LayerTensors = std::vector<std::vector<torch::Tensor>>;  // of each layer, leaf by leaf

struct Descent {
  std::string owner;  // named in errors: "tuner signround"
  std::int64_t steps = 0, batch = 0;
  /// Changes the leaves by their gradients, given layer by layer; step counts from 0.
  std::function<void(std::int64_t step, std::vector<Learned>& layers,
                     const LayerTensors& gradients)>
      update = {};
  /// Sequences at the end of the text that no batch takes and that alone judge; 0: all judge.
  std::int64_t held_out = 0;
  /// How often, besides the first and the last time, leaves are judged on the way. 0: instead,
  /// those with the least loss of a batch are judged at the end.
  std::int64_t judged = 0;
  std::vector<torch::Tensor> memory = {};  // F32, of the optimizer: what `update` changes besides
};

/// Leaves behind, of all that were judged, the leaves with the least loss; those it began with are
/// among them. Goes on where TunedLoss::resume says. Throws Error when a loss is not finite.
void descend(const Descent& descent, std::vector<Learned>& layers, const TunedLoss& loss);

/// The same of layers that have leaves(), weights() and solution(start) each: what they end as.
template <class State>
std::vector<Solution> descend(const Descent& descent, const std::vector<State>& states,
                              const std::vector<TunedLayer>& layers, const TunedLoss& loss) {
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
