#include "train/learned.h"

namespace karat {

void start_weights(const Architecture& arch, const TrainingQuantizer& quantizer, Weights& weights) {
  if (!quantizer.start) return;
  const torch::NoGradGuard no_grad;
  for (const Block& block : arch.blocks)
    for (const Linear* layer : block.linears()) {
      torch::Tensor& weight = weights.at(layer->name + ".weight");
      weight = quantizer.start(*layer, weight).contiguous();
    }
}

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

std::set<std::string> names_of(const OwnRules& rules) {
  std::set<std::string> names;
  for (const auto& [name, rule] : rules) names.insert(name);
  return names;
}

Weights leaves_with_floors(const Weights& values, const OwnRules& rules) {
  Weights leaves;
  for (const auto& [name, value] : values) {
    const auto rule = rules.find(name);
    const torch::Tensor alone = value.detach();
    leaves[name] = (rule == rules.end() ? alone.clone() : alone.clamp_min(rule->second.least))
                       .requires_grad_(true);
  }
  return leaves;
}

}  // namespace karat
