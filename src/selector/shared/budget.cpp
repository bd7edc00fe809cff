#include "selector/shared/budget.h"

namespace karat {
namespace {

using Indices = std::vector<std::int64_t>;

torch::Tensor as_tensor(const Indices& indices) {
  return torch::tensor(indices, torch::kInt64);
}

torch::Tensor best_of_rows(const torch::Tensor& scores, const KeptBudget& budget,
                           std::int64_t rows) {
  const torch::Tensor flat = scores.to(torch::kCPU).to(torch::kFloat32).contiguous();
  const std::int64_t width = flat.numel() / rows;
  const float* values = flat.data_ptr<float>();
  Indices result;
  for (std::int64_t row = 0; row < rows; ++row)
    append_best(values + row * width, width, share(budget.ratio, width), row * width, result);
  if (budget.only_positive) std::erase_if(result, [&](auto index) { return values[index] <= 0; });
  return as_tensor(result);
}

std::vector<torch::Tensor> best_of_all(const std::vector<Candidates>& layers,
                                       const KeptBudget& budget) {
  std::vector<torch::Tensor> flat;
  for (const Candidates& layer : layers) flat.push_back(layer.worth.flatten());
  const torch::Tensor best = best_of_rows(torch::cat(flat), budget, 1);
  const std::int64_t* next = best.data_ptr<std::int64_t>();
  const std::int64_t* end = next + best.numel();
  std::vector<torch::Tensor> result;
  for (std::int64_t offset = 0; const torch::Tensor& one : flat) {
    Indices indices;
    for (; next != end && *next < offset + one.numel(); ++next) indices.push_back(*next - offset);
    result.push_back(as_tensor(indices));
    offset += one.numel();
  }
  return result;
}

}  // namespace

KeptBudget choose_budget(Options& options) {
  KeptBudget budget;
  budget.ratio = options.number("ratio", 0.01, 0, 1, "share of weights kept at FP16");
  budget.scope = options.choice("scope", "matrix", {"matrix", "row", "model"},
                                "the share is taken of each matrix, row, or all");
  return budget;
}

Selector keep_best(const KeptBudget& budget) {
  Selector selector{.whole_model = budget.scope == "model"};
  selector.choose = [budget](const std::vector<Candidates>& layers) {
    if (budget.scope == "model") return best_of_all(layers, budget);
    std::vector<torch::Tensor> result;
    for (const auto& [worth, score] : layers)
      result.push_back(best_of_rows(worth, budget, budget.scope == "row" ? worth.size(0) : 1));
    return result;
  };
  return selector;
}

}  // namespace karat
