// One row of an original's next-token distribution in few bytes: its likeliest tokens, the mass of
// the rest, and some tokens drawn from the rest. docs/evaluation.md derives the estimate of KL.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evaluate/scores.h"

namespace karat {

/// Tokens that a row holds.
struct RowShape {
  std::int64_t top = 0;      // the likeliest, likeliest first
  std::int64_t sampled = 0;  // of the others, drawn in proportion to probability; may repeat
  std::int64_t entries() const { return top + sampled; }
};
/// At most 5 % of the row's logits in F16 where the vocabulary has 460 tokens or more.
RowShape row_shape(std::int64_t vocab);
constexpr std::int64_t kWideVocab = 1 << 16;  // ids take 16 bits up to this size, else 32

/// Logarithms of probabilities in 16 bits: log p = −32 (code / 65535)², finest near p = 1.
std::uint16_t log_code(double log_p);
double decode_log(std::uint16_t code);

struct CachedRow {
  float nll = 0;                          // nats, of the token that came
  std::uint16_t rest = 0;                 // log_code of the mass outside the likeliest tokens
  std::vector<TokenId> ids = {};          // [top + sampled]
  std::vector<std::uint16_t> codes = {};  // likewise: log_code of each token's probability
};
/// The draw is `seed`'s.
CachedRow cache_row(std::span<const float> logits, const LogSoftmax& p, TokenId next,
                    const RowShape& shape, std::uint64_t seed);

/// KL(cached ‖ candidate), nats: exact over the likeliest tokens and the rest as one, and an
/// unbiased estimate, not below 0, of what the rest adds inside itself.
double kl_divergence(const CachedRow& cached, const RowShape& shape,
                     std::span<const float> candidate, const LogSoftmax& q);
TopFive top_five(const CachedRow& cached, const RowShape& shape);

}  // namespace karat
