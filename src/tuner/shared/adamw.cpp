#include "tuner/shared/adamw.h"

#include <cmath>
#include <numbers>

#include "core/threads.h"

namespace karat {
namespace {

/// Calls body on every entry of `weights`, in parallel; entries are independent.
void for_each_weight(Weights& weights,
                     const std::function<void(const std::string&, torch::Tensor&)>& body) {
  std::vector<Weights::value_type*> entries;
  for (auto& entry : weights) entries.push_back(&entry);
  parallel_for(static_cast<std::int64_t>(entries.size()), 1, [&](auto begin, auto end) {
    const torch::NoGradGuard no_grad;
    for (auto i = begin; i < end; ++i) {
      auto& [name, tensor] = *entries[static_cast<std::size_t>(i)];
      body(name, tensor);
    }
  });
}

}  // namespace

double learning_rate(const OptimizerOptions& options, std::int64_t step, std::int64_t steps) {
  if (step < options.warmup)
    return options.lr * static_cast<double>(step + 1) / static_cast<double>(options.warmup);
  const auto span = static_cast<double>(std::max<std::int64_t>(1, steps - options.warmup));
  const double done = std::min(1.0, static_cast<double>(step - options.warmup) / span);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return options.lr * (options.final_lr + (1 - options.final_lr) * cosine);
}

AdamW::AdamW(const OptimizerOptions& chosen, const Weights& weights, OwnRules own)
    : options(chosen), rules(std::move(own)) {
  for (const auto& [name, weight] : weights) {
    first[name] = torch::zeros_like(weight);
    second[name] = torch::zeros_like(weight);
  }
}

void AdamW::update(Weights& weights, const Weights& gradients, double lr, std::int64_t step) {
  const auto t = static_cast<double>(step + 1);
  const double first_size = 1 - std::pow(options.beta1, t);
  const double second_size = std::sqrt(1 - std::pow(options.beta2, t));
  for_each_weight(weights, [&](const std::string& name, torch::Tensor& leaf) {
    const torch::Tensor weight = leaf.detach();
    const torch::Tensor& gradient = gradients.at(name);
    torch::Tensor& m = first.at(name);
    torch::Tensor& v = second.at(name);
    m.mul_(options.beta1).add_(gradient, 1 - options.beta1);
    v.mul_(options.beta2).addcmul_(gradient, gradient, 1 - options.beta2);
    const torch::Tensor size = v.sqrt().div_(second_size).add_(options.epsilon);
    const auto own = rules.find(name);
    if (own == rules.end()) {
      if (weight.dim() > 1) weight.mul_(1 - lr * options.weight_decay);
      weight.addcdiv_(m, size, -lr / first_size);
    } else {
      const auto& [rate, decay, least] = own->second;
      weight.mul_(1 - lr * decay).addcdiv_(m, size, -lr * rate / first_size).clamp_min_(least);
    }
  });
}

double gradient_norm(const Weights& gradients) {
  const torch::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& [name, gradient] : gradients) {
    const auto norm = gradient.norm().item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

double clip_gradients(Weights& gradients, double limit) {
  const double norm = gradient_norm(gradients);
  if (limit > 0 && norm > limit)
    for_each_weight(gradients, [&](const std::string&, torch::Tensor& gradient) {
      gradient.mul_(limit / norm);
    });
  return norm;
}

}  // namespace karat
