// What one row of logits says: the cost of the token that came, and how far two models differ.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "karat/tokenizer.h"

namespace karat {

/// log softmax(logits)[i] = logits[i] − log_sum.
struct LogSoftmax {
  double log_sum = 0;
  TokenId best = 0;  // the most likely token, the lowest id among equals
};
LogSoftmax log_softmax(std::span<const float> logits);

/// −log softmax(logits)[token], nats.
double negative_log_likelihood(std::span<const float> logits, const LogSoftmax& of, TokenId token);

/// Σ p (log p − log q) with p of `original` and q of `candidate`, nats; not below 0.
double kl_divergence(std::span<const float> original, const LogSoftmax& p,
                     std::span<const float> candidate, const LogSoftmax& q);

/// The likeliest tokens, the lowest ids first among equals; −1 where the vocabulary ends.
constexpr std::size_t kTopFive = 5;
using TopFive = std::array<TokenId, kTopFive>;
TopFive top_five(std::span<const float> logits);
/// How many tokens two of them share.
int shared_tokens(const TopFive& one, const TopFive& other);

}  // namespace karat
