// metric pqi: the post-quantization integral (Hu et al., arXiv 2503.01901). A Taylor step at the
// weights w says little about weights as far away as their quantization ŵ; but the change of loss
// is exactly the integral of the gradient along the segment from w to ŵ, and that is a sum over
// weights: |∫ ∂L/∂w at w + t(ŵ − w) dt · (ŵ − w)| is what each one's error costs. Whether the paper
// takes the absolute value before or after averaging over sequences and nodes is not known; here it
// comes last, so that the signed scores add up to the change of loss.
#include "karat/axes.h"
#include "recipe/quadrature.h"

namespace karat {

Metric pqi_metric(Options& options) {
  const std::int64_t nodes =
      options.integer("nodes", 8, 1, 1024, "gradients taken on the way to the quantized weights");
  const std::string rule =
      options.choice("rule", "midpoint", quadrature_rules(), "where; the paper: mean_endpoints");
  Metric metric{.needs = {.gradient = true}, .path = path_nodes(rule, nodes)};
  metric.score = [](const Layer& layer, const auto& error) {
    return (layer.stats.gradient * error()).abs();
  };
  return metric;
}

}  // namespace karat
