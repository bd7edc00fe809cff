// metric hessian: the cost of rounding a weight in the layer's own output error, H = 2 X Xᵀ / n.
// Key obs is SpQR's Δ²/[H⁻¹]jj (arXiv 2306.03078, without the leave-one-out fit): the others may
// compensate. Key diag is Δ²·Hjj: they may not.
#include "recipe/hessian.h"
#include "karat/axes.h"

namespace karat {

Metric hessian_metric(Options& options) {
  const std::string key =
      options.choice("key", "obs", {"obs", "diag"}, "error^2/diag(inverse H), or error^2*diag(H)");
  const double damp = options.number("damp", 0.01, 1e-6, 1, "share of mean(diag H) added to it");
  Metric metric{.needs = {.hessian = true}, .error = true};
  metric.score = [key, damp](const Layer& layer, const auto& error) -> torch::Tensor {
    const torch::Tensor squared = error().square();
    if (key == "diag") return squared * layer.stats.hessian.diagonal().unsqueeze(0);
    const torch::Tensor factor = inverse_factor(layer.stats.hessian, damp, layer.name);
    return squared / factor.square().sum(0, /*keepdim=*/true);  // H⁻¹ = UᵀU
  };
  return metric;
}

}  // namespace karat
