// selector columns: whole input columns stay at FP16, the floor(ratio·in) of each matrix whose
// scores sum to most, ties going to the lower index (OWQ's weak columns, arXiv 2306.02272).
#include "selector/shared/budget.h"

namespace karat {

Selector columns_selector(Options& options) {
  const double ratio = options.number("ratio", 0.01, 0, 1, "share of columns kept at FP16");
  const Selector best = keep_best({.ratio = ratio, .scope = "matrix"});
  Selector selector;
  selector.choose = [best](const std::vector<Candidates>& layers) {
    std::vector<torch::Tensor> result;
    for (const auto& [worth, score] : layers) {
      const torch::Tensor sums = worth.sum(0, /*keepdim=*/true, torch::kFloat64);
      const torch::Tensor columns = best.choose({{.worth = sums}})[0];
      const torch::Tensor rows = torch::arange(worth.size(0)).unsqueeze(1) * worth.size(1);
      result.push_back((rows + columns.unsqueeze(0)).flatten());
    }
    return result;
  };
  return selector;
}

}  // namespace karat
