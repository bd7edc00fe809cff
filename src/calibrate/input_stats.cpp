#include "calibrate/input_stats.h"

#include <utility>

#include "model/parallel.h"

namespace karat {

LinearObserver InputStats::observer() {
  if (!needs_.hessian && !needs_.input_abs && !needs_.input_square) return {};
  last_input_.reset();
  return [this](const Linear& layer, const torch::Tensor& input, const torch::Tensor&) {
    observe(layer, input);
  };
}

void InputStats::observe(const Linear& layer, const torch::Tensor& input) {
  const bool shared = input.is_same(last_input_);
  if (!shared) last_leader_ = layer.name;
  last_input_ = input;
  leader_[layer.name] = last_leader_;
  if (shared) return;
  const torch::NoGradGuard no_grad;
  const auto x = input.detach().to(torch::kFloat32);
  Sum& sum = sums_[layer.name];
  sum.tokens += x.size(0);
  if (needs_.hessian) {
    if (!sum.hessian.defined()) sum.hessian = torch::zeros({x.size(1), x.size(1)}, x.options());
    add_gram(sum.hessian, x);
  }
  const auto add = [](torch::Tensor& to, const torch::Tensor& part) {
    to = to.defined() ? to.add_(part) : part;
  };
  if (needs_.input_abs) add(sum.input_abs, x.abs().sum(0, false, torch::kFloat64));
  if (needs_.input_square) add(sum.input_square, x.square().sum(0, false, torch::kFloat64));
}

void InputStats::finish(std::map<std::string, LinearStats>& stats) {
  std::map<std::string, LinearStats> means;
  for (auto& [name, sum] : std::exchange(sums_, {})) {
    const auto tokens = static_cast<double>(sum.tokens);
    if (needs_.hessian) {
      mirror(sum.hessian);
      means[name].hessian = sum.hessian.mul_(2 / tokens);  // two such matrices take much memory
    }
    if (needs_.input_abs) means[name].input_abs = (sum.input_abs / tokens).to(torch::kFloat32);
    if (needs_.input_square)
      means[name].input_square = (sum.input_square / tokens).to(torch::kFloat32);
  }
  for (const auto& [layer, leader] : leader_) {
    stats[layer].hessian = means[leader].hessian;
    stats[layer].input_abs = means[leader].input_abs;
    stats[layer].input_square = means[leader].input_square;
  }
}

}  // namespace karat
