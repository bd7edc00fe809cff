// choose: layer by layer as the scores come, or all at once when the selector sees the whole model.
#include "pipeline/steps.h"

namespace karat {

void Chooser::operator()(const Linear& layer, const Candidates& candidates) {
  if (selector_.whole_model)
    waiting_[layer.name] = candidates;
  else
    chosen_[layer.name] = selector_.choose({candidates})[0];
}

Chosen Chooser::finish() {
  std::vector<Candidates> layers;
  for (const auto& [name, one] : waiting_) layers.push_back(one);
  if (layers.empty()) return std::move(chosen_);
  const std::vector<torch::Tensor> indices = selector_.choose(layers);
  for (std::size_t i = 0; const auto& [name, one] : waiting_) chosen_[name] = indices[i++];
  return std::move(chosen_);
}

}  // namespace karat
