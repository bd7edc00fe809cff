#include "tuner/shared/adamw.h"

#include <cmath>
#include <numbers>

#include "core/threads.h"

namespace karat {

void for_each_tensor(Weights& weights,
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

AdamWStep adamw_step(const OptimizerOptions& options, const OwnRules& rules,
                     const std::string& name, const torch::Tensor& weight, double lr,
                     std::int64_t step) {
  const auto t = static_cast<double>(step + 1);
  AdamWStep result{.lr = lr,
                   .decay = weight.dim() > 1 ? lr * options.weight_decay : 0,
                   .beta1 = options.beta1.value_or(kBeta1),
                   .beta2 = options.beta2.value_or(kBeta2),
                   .epsilon = options.epsilon};
  result.first_size = 1 - std::pow(result.beta1, t);
  result.second_size = std::sqrt(1 - std::pow(result.beta2, t));
  if (const auto own = rules.find(name); own != rules.end()) {
    result.lr = lr * own->second.rate;
    result.decay = lr * own->second.decay;
    result.least = own->second.least;
    result.bounded = true;
  }
  return result;
}

void AdamWStep::remember(const torch::Tensor& gradient, torch::Tensor& m, torch::Tensor& v) const {
  m.mul_(beta1).add_(gradient, 1 - beta1);
  v.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
}

torch::Tensor AdamWStep::size(const torch::Tensor& v) const {
  return v.sqrt().div_(second_size).add_(epsilon);
}

void AdamWStep::move(torch::Tensor weight, const torch::Tensor& m,
                     const torch::Tensor& size) const {
  if (decay != 0) weight.mul_(1 - decay);
  weight.addcdiv_(m, size, -lr / first_size);
  if (bounded) weight.clamp_min_(least);
}

void AdamW::update(Weights& weights, const Weights& gradients, double lr, std::int64_t step) {
  for_each_tensor(weights, [&](const std::string& name, torch::Tensor& leaf) {
    const torch::Tensor weight = leaf.detach();
    const AdamWStep at = adamw_step(options, rules, name, weight, lr, step);
    torch::Tensor& m = first.at(name);
    torch::Tensor& v = second.at(name);
    at.remember(gradients.at(name), m, v);
    at.move(weight, m, at.size(v));
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
    for_each_tensor(gradients, [&](const std::string&, torch::Tensor& gradient) {
      gradient.mul_(limit / norm);
    });
  return norm;
}

}  // namespace karat
