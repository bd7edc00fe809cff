#include "calibrate/guided_stats.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "karat/error.h"
#include "model/parallel.h"

namespace karat {
namespace {

/// [tokens, out] -> [tokens].
torch::Tensor mean_square(const torch::Tensor& x) {
  auto out = torch::empty({x.size(0)}, x.options());
  parallel_rows(x.size(0), cached_rows(x.size(1)), x.device(), [&](auto first, auto rows) {
    out.narrow(0, first, rows).copy_(x.narrow(0, first, rows).square().mean(1));
  });
  return out;
}

/// Σw, if one can divide by it.
double total_of(const torch::Tensor& weights, const std::string& layer) {
  const double total = weights.sum(torch::kFloat64).item<double>();
  if (!std::isfinite(total))
    fail("token weights of " + layer, "NaN or infinite gradients", "finite ones",
         "the model overflows on this calibration text");
  if (total < std::numeric_limits<float>::min())
    fail("token weights of " + layer, "no gradient at any token", "a loss that its outputs change",
         "use longer sequences, or look for weights of zero behind it");
  return total;
}

}  // namespace

LinearObserver GuidedStats::observer() {
  if (!needs_.token_weights && !needs_.guided) return {};
  return [this](const Linear& layer, const torch::Tensor& input, const torch::Tensor& output) {
    observe(layer, input, output);
  };
}

void GuidedStats::observe(const Linear& layer, const torch::Tensor& input,
                          const torch::Tensor& output) {
  Sum& sum = sums_[layer.name];
  const auto x = input.detach();
  if (output.requires_grad()) {
    output.register_hook(
        [this, &sum, x](const torch::Tensor& gradient) { add(sum, x, mean_square(gradient)); });
    return;
  }
  if (!sum.known.defined()) sum.known = known_(layer.name).to(x.device());
  if (sum.tokens + x.size(0) <= sum.known.size(0))
    add(sum, x, sum.known.narrow(0, sum.tokens, x.size(0)));
  sum.tokens += x.size(0);
}

void GuidedStats::add(Sum& sum, const torch::Tensor& input, const torch::Tensor& weights) const {
  sum.weights.push_back(weights);
  if (!needs_.guided) return;
  const auto x = input.to(torch::kFloat32) * weights.sqrt().unsqueeze(1);
  if (!sum.product.defined()) sum.product = torch::zeros({x.size(1), x.size(1)}, x.options());
  add_gram(sum.product, x);
}

void GuidedStats::finish(std::map<std::string, LinearStats>& stats) const {
  for (const auto& [name, sum] : sums_) {
    if (sum.known.defined() && sum.known.size(0) != sum.tokens)
      fail("guided statistics of " + name, fmt::format("{} token weights", sum.known.size(0)),
           fmt::format("{}, one a token", sum.tokens), "they belong to other sequences");
    const auto weights = torch::cat(sum.weights);
    const double total = total_of(weights, name);
    if (needs_.token_weights) stats[name].token_weights = weights;
    if (needs_.guided) {
      mirror(sum.product);
      stats[name].guided = sum.product * (2 / total);
    }
  }
}

}  // namespace karat
