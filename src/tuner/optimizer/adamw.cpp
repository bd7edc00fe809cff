// AdamW with both moments in float32.
#include "tuner/shared/training_optimizer.h"

namespace karat {

TrainingOptimizer adamw_optimizer(Options&) {
  return {.summary = "both moments in float32 (arXiv 1711.05101)",
          .begin = [](const OptimizerScene&, Weights& weights) { return zero_moments(weights); },
          .update =
              [](const OptimizerStep& step, Weights& weights, Weights& state) {
                const OptimizerScene& scene = step.scene;
                for_each_tensor(weights, [&](const std::string& name, torch::Tensor& leaf) {
                  const torch::Tensor weight = leaf.detach();
                  const AdamWStep at =
                      adamw_step(scene.options, scene.rules, name, weight, step.lr, step.number);
                  torch::Tensor& m = state.at("first." + name);
                  torch::Tensor& v = state.at("second." + name);
                  at.remember(step.gradients.at(name), m, v);
                  at.move(weight, m, at.size(v));
                });
              }};
}

}  // namespace karat
