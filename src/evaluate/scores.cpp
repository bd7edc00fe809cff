#include "evaluate/scores.h"

#include <algorithm>
#include <cmath>

#include "run/log_sum.h"

namespace karat {

LogSoftmax log_softmax(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  return {static_cast<double>(*best) + log_sum_exp(logits, *best),
          static_cast<TokenId>(best - logits.begin())};
}

double negative_log_likelihood(std::span<const float> logits, const LogSoftmax& of, TokenId token) {
  return of.log_sum - static_cast<double>(logits[static_cast<std::size_t>(token)]);
}

double kl_divergence(std::span<const float> original, const LogSoftmax& p,
                     std::span<const float> candidate, const LogSoftmax& q) {
  double sum = 0;
  for (std::size_t i = 0; i < original.size(); ++i) {
    const double log_p = static_cast<double>(original[i]) - p.log_sum;
    const double log_q = static_cast<double>(candidate[i]) - q.log_sum;
    sum += static_cast<double>(std::exp(static_cast<float>(log_p))) * (log_p - log_q);
  }
  return std::max(0.0, sum);  // rounding may leave −1e-16
}

TopFive top_five(std::span<const float> logits) {
  TopFive top;
  top.fill(-1);
  const auto place = [&](std::size_t i) { return logits[static_cast<std::size_t>(top[i])]; };
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (top.back() >= 0 && logits[id] <= place(kTopFive - 1)) continue;
    std::size_t at = kTopFive - 1;
    for (; at > 0 && (top[at - 1] < 0 || place(at - 1) < logits[id]); --at) top[at] = top[at - 1];
    top[at] = static_cast<TokenId>(id);
  }
  return top;
}

int shared_tokens(const TopFive& one, const TopFive& other) {
  int shared = 0;
  for (const TokenId token : one)
    shared += token >= 0 && std::find(other.begin(), other.end(), token) != other.end();
  return shared;
}

}  // namespace karat
