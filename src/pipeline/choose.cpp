// choose: layer by layer as the scores come, or all at once when the selector sees the whole model.
#include "pipeline/steps.h"

namespace karat {

void Chooser::see(const std::string& layer, const Candidates& candidates) {
  if (selector_.whole_model)
    waiting_[layer] = candidates;
  else
    chosen_[layer] = selector_.choose({candidates})[0];
}

Chosen Chooser::choose() {
  std::vector<Candidates> layers;
  for (const auto& [name, one] : waiting_) layers.push_back(one);
  if (layers.empty()) return std::move(chosen_);
  const std::vector<torch::Tensor> indices = selector_.choose(layers);
  for (std::size_t i = 0; const auto& [name, one] : waiting_) chosen_[name] = indices[i++];
  return std::move(chosen_);
}

}  // namespace karat
