// AdamW without decay over the leaves of layers, rates falling along a cosine to a twentieth.
#pragma once

#include "tuner/shared/adamw.h"
#include "tuner/shared/descent.h"

namespace karat {

class LeafAdam {
 public:
  /// `rates`: of each layer's first leaf, its second, …
  LeafAdam(const LayerTensors& leaves, std::vector<double> rates, std::int64_t steps);
  void update(std::int64_t step, std::vector<Learned>& layers, const LayerTensors& gradients);
  std::vector<torch::Tensor> memory() const;  // the moments, which update() changes in place

 private:
  std::vector<double> rates_;
  std::int64_t steps_;
  std::vector<AdamW> optimizers_;  // one a rate
};

/// leaves() of each of these.
template <class State>
LayerTensors leaves_of(const std::vector<State>& states) {
  LayerTensors leaves;
  for (const State& state : states) leaves.push_back(state.leaves());
  return leaves;
}

}  // namespace karat
