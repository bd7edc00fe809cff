#include "tuner/shared/leaf_adam.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace karat {
namespace {

/// Leaf `leaf` of every layer. Names are in the order of the layers.
Weights named(const LayerTensors& tensors, std::size_t leaf) {
  Weights result;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    result[fmt::format("{:08}", i)] = tensors[i].at(leaf);
  return result;
}

}  // namespace

LeafAdam::LeafAdam(const LayerTensors& leaves, std::vector<double> rates, std::int64_t steps)
    : rates_(std::move(rates)), steps_(steps) {
  const OptimizerOptions options{.weight_decay = 0, .beta2 = 0.999, .epsilon = 1e-15, .clip = 0};
  for (std::size_t leaf = 0; leaf < rates_.size(); ++leaf)
    optimizers_.emplace_back(options, named(leaves, leaf));
}

void LeafAdam::update(std::int64_t step, std::vector<Learned>& layers,
                      const LayerTensors& gradients) {
  const double done = static_cast<double>(step) / static_cast<double>(steps_);
  const double left = 0.05 + 0.95 * 0.5 * (1 + std::cos(std::numbers::pi * done));
  LayerTensors leaves;
  for (const Learned& layer : layers) leaves.push_back(layer.leaves);
  for (std::size_t leaf = 0; leaf < rates_.size(); ++leaf) {
    Weights weights = named(leaves, leaf);
    optimizers_[leaf].update(weights, named(gradients, leaf), left * rates_[leaf], step);
  }
}

std::vector<torch::Tensor> LeafAdam::memory() const {
  std::vector<torch::Tensor> moments;
  for (const AdamW& optimizer : optimizers_)
    for (const Weights* of : {&optimizer.first, &optimizer.second})
      for (const auto& [name, tensor] : *of) moments.push_back(tensor);
  return moments;
}

}  // namespace karat
