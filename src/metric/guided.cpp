// metric guided: what a squared error costs in the final loss when a layer's rows share their
// token weights, the diagonal of GuidedQuant's Hessian (arXiv 2505.07004). H̄ is divided by the sum
// of those weights; their mean brings back what tells one layer from another.
#include "karat/axes.h"

namespace karat {

Metric guided_metric(Options&) {
  Metric metric{.needs = {.token_weights = true, .guided = true}};
  metric.score = [](const Layer& layer, const auto&) {
    const torch::Tensor cost = layer.stats.guided.diagonal() * layer.stats.token_weights.mean();
    return cost.unsqueeze(0).expand_as(layer.weight);
  };
  return metric;
}

}  // namespace karat
