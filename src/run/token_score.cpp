// What a model says of a token among all others.
#include <algorithm>
#include <numeric>

#include "karat/error.h"
#include "karat/sampling.h"
#include "run/log_sum.h"

namespace karat {

TokenScore score_token(std::span<const float> logits, TokenId id, std::int64_t alternatives) {
  if (id < 0 || static_cast<std::size_t>(id) >= logits.size())
    fail("score", "token " + std::to_string(id), "one of " + std::to_string(logits.size()));
  const float largest = *std::ranges::max_element(logits);
  const double sum = log_sum_exp(logits, largest);
  const auto logprob = [&](TokenId token) {
    return static_cast<double>(logits[static_cast<std::size_t>(token)]) - largest - sum;
  };
  TokenScore score{.id = id, .logprob = logprob(id)};
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<std::int64_t>(alternatives, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [&](TokenId a, TokenId b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (auto best = order.begin(); best != end; ++best)
    score.top.emplace_back(*best, logprob(*best));
  return score;
}

}  // namespace karat
