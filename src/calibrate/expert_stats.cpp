#include "calibrate/expert_stats.h"

#include <algorithm>
#include <array>

namespace karat {
namespace {

/// A layer of one expert.
struct Visited {
  std::int64_t tokens;
  LinearStats* stats;
};
using Experts = std::vector<Visited>;

constexpr std::array kOfInputs = {&LinearStats::hessian, &LinearStats::input_abs,
                                  &LinearStats::input_square};

/// Σ n_e x_e / Σ n_e of a statistic, or undefined.
torch::Tensor mean_of(const Experts& experts, torch::Tensor LinearStats::*statistic) {
  torch::Tensor sum;
  std::int64_t tokens = 0;
  for (const auto& [count, stats] : experts) {
    const torch::Tensor& own = stats->*statistic;
    if (count == 0 || !own.defined()) continue;
    if (!sum.defined()) sum = torch::zeros_like(own);
    sum.add_(own, static_cast<double>(count));
    tokens += count;
  }
  return sum.defined() ? sum.div_(static_cast<double>(tokens)) : sum;
}

/// The same of units that nothing tells apart: [n, n] or [n].
torch::Tensor of_any_unit(const torch::Tensor& mean) {
  if (mean.dim() == 1) return torch::full_like(mean, mean.mean().item<double>());
  return torch::eye(mean.size(0), mean.options()).mul_(mean.diagonal().mean().item<double>());
}

void pool(const Experts& experts, std::int64_t floor, bool same_inputs,
          torch::Tensor LinearStats::*statistic) {
  torch::Tensor all = mean_of(experts, statistic);
  if (!all.defined()) return;
  if (!same_inputs) all = of_any_unit(all);
  for (const auto& [count, stats] : experts) {
    torch::Tensor& own = stats->*statistic;
    const double share = static_cast<double>(count) / static_cast<double>(floor);
    if (count == 0)
      own = all;
    else if (count < floor)
      own.mul_(share).add_(all, 1 - share);
  }
}

void pool_fisher(const Experts& experts) {
  double sum = 0;
  std::int64_t tokens = 0;
  std::vector<torch::Tensor> nothing;  // no gradient came back from these
  for (const auto& [count, stats] : experts) {
    if (!stats->fisher.defined()) return;
    const double mean = stats->fisher.mean(torch::kFloat64).item<double>();
    if (mean == 0) nothing.push_back(stats->fisher);
    sum += mean;
    tokens += count;
  }
  for (const torch::Tensor& fisher : nothing)
    fisher.fill_(sum / static_cast<double>(std::max<std::int64_t>(tokens, 1)));
}

}  // namespace

LinearObserver ExpertStats::observer() {
  if (block_.mlp.experts.empty()) return {};
  return [this](const Linear& layer, const torch::Tensor& input, const torch::Tensor&) {
    tokens_[layer.name] += input.size(0);
  };
}

void ExpertStats::finish(std::map<std::string, LinearStats>& stats) const {
  if (block_.mlp.experts.empty() || stats.empty()) return;
  for (const auto layer : {&Expert::gate, &Expert::up, &Expert::down}) {
    Experts experts;
    for (const Expert& expert : block_.mlp.experts) {
      const Linear& linear = expert.*layer;
      const auto found = tokens_.find(linear.name);
      experts.push_back({found == tokens_.end() ? 0 : found->second, &stats[linear.name]});
      const Visited& one = experts.back();
      if (one.tokens < linear.in) one.stats->few_tokens = one.tokens;
    }
    pool_fisher(experts);
    const std::int64_t floor = (block_.mlp.experts[0].*layer).in;
    for (const auto statistic : kOfInputs)
      if (layer != &Expert::up) pool(experts, floor, layer == &Expert::gate, statistic);
  }
  for (const auto& [gate, up, down] : block_.mlp.experts)  // they read the same
    for (const auto statistic : kOfInputs) stats[up.name].*statistic = stats[gate.name].*statistic;
}

}  // namespace karat
