#include "evaluate/scores.h"

#include <algorithm>
#include <cmath>

namespace karat {

LogSoftmax log_softmax(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - *best));
  return {static_cast<double>(*best) + std::log(sum), static_cast<TokenId>(best - logits.begin())};
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

}  // namespace karat
