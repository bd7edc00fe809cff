// metric gradient: the first-order cost of changing a weight, from the gradient of the loss summed
// over the calibration sequences. GWQ (arXiv 2411.00850) ranks by |g|; the other keys are its
// natural rivals: |g·w| is the first-order cost of dropping the weight, |g·Δ| that of rounding it.
#include "karat/axes.h"

namespace karat {

Metric gradient_metric(Options& options) {
  const std::string key =
      options.choice("key", "g", {"g", "g2", "gw", "gd"}, "|g|, g*g, |g*w| or |g*rounding error|");
  Metric metric{.needs = {.gradient = true}, .error = key == "gd"};
  metric.score = [key](const Layer& layer, const auto& error) {
    const torch::Tensor& g = layer.stats.gradient;
    if (key == "g2") return g.square();
    if (key == "gw") return (g * layer.weight).abs();
    if (key == "gd") return (g * error()).abs();
    return g.abs();
  };
  return metric;
}

}  // namespace karat
