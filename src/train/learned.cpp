#include "train/learned.h"

namespace karat {

Weights learned_parameters(const Architecture& arch, const TrainingQuantizer& quantizer,
                           const Weights& weights, const torch::Tensor& ids) {
  Weights learned;
  if (!quantizer.learned) return learned;
  const torch::NoGradGuard no_grad;
  const LinearObserver observe = [&](const Linear& layer, const torch::Tensor& x,
                                     const torch::Tensor&) {
    learned.merge(quantizer.learned(layer, weights.at(layer.name + ".weight"), x));
  };
  torch::Tensor x = embed(arch, weights, ids);
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    x = block_forward(arch, i, weights, x, observe);
  return learned;
}

OwnRules learned_rules(const Weights& learned, double decay) {
  OwnRules rules;
  for (const auto& [name, tensor] : learned) {
    const auto size = tensor.mean().item<double>();
    rules[name] = {.rate = size, .decay = decay, .least = 1e-3 * size};
  }
  return rules;
}

}  // namespace karat
