// metric fisher: the diagonal Fisher information F = mean of g² over calibration sequences, as
// SqueezeLLM uses it (arXiv 2306.07629); F·Δ² is the second-order cost of rounding a weight alone.
#include "karat/axes.h"

namespace karat {

Metric fisher_metric(Options& options) {
  const std::string key =
      options.choice("key", "f", {"f", "fw", "fd"}, "F, F*w*w or F*(rounding error squared)");
  Metric metric{.needs = {.fisher = true}, .error = key == "fd"};
  metric.score = [key](const Layer& layer, const auto& error) -> torch::Tensor {
    const torch::Tensor& fisher = layer.stats.fisher;
    if (key == "fw") return fisher * layer.weight.square();
    if (key == "fd") return fisher * error().square();
    return fisher;
  };
  return metric;
}

}  // namespace karat
