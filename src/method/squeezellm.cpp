// SqueezeLLM: a lookup table per row, placed by k-means weighted with the Fisher information, and
// 0.45 % of the weights kept: 0.05 % by Fisher and 0.4 % by magnitude (Kim et al., arXiv
// 2306.07629).
#include "karat/recipe.h"

namespace karat {
namespace {

/// Magnitude, but the 0.05 % of largest Fisher information come before everything.
torch::Tensor score(const Layer& layer) {
  const torch::Tensor& fisher = layer.stats.fisher;
  torch::Tensor scores = layer.weight.abs();
  const auto count = static_cast<std::int64_t>(0.0005 * static_cast<double>(fisher.numel()));
  if (count == 0) return scores;
  const torch::Tensor first = std::get<1>(fisher.flatten().topk(count));
  scores.view(-1).index_add_(0, first, scores.max().expand(count));
  return scores;
}

Metric sensitive_or_large(Options&) {
  return {.needs = {.fisher = true},
          .score = [](const Layer& layer, const auto&) { return score(layer); }};
}

}  // namespace

Recipe squeezellm_method() {
  return {
      .summary = "a table of values per row by Fisher-weighted k-means; 0.45 % kept at FP16",
      .paper = "SqueezeLLM, arXiv 2306.07629",
      .metric = {"sensitive-or-large", sensitive_or_large},
      .selector = {"top:ratio=0.0045"},
      .grid = {"lut:bits=4,cost=fisher"},
      .samples = 100,
  };
}

}  // namespace karat
