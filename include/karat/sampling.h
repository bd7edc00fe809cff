// How the next token is drawn.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "karat/tokenizer.h"

namespace karat {

struct Sampling {
  double temperature = 0.8;  // 0: the most likely token
  double top_p = 0.95;       // draws from the smallest set of tokens with this probability
  std::int64_t top_k = 0;    // draws from the k most likely tokens; 0: all
  std::uint64_t seed = 0;
  double min_p = 0;  // draws from tokens at least this share as likely as the likeliest; 0: all
  /// Taken from the logit of a token that was drawn before: once, and for every time. They and the
  /// bias are added to the logits before all else, so a temperature of 0 minds them too.
  double presence_penalty = 0, frequency_penalty = 0;
  std::map<TokenId, double> bias = {};
};

/// Natural logarithms of a token's probability and of the likeliest tokens', most likely first.
struct TokenScore {
  TokenId id = 0;
  double logprob = 0;
  std::vector<std::pair<TokenId, double>> top = {};
};
/// By logits [vocab], as the model gives them. Throws Error on an id outside the vocabulary.
TokenScore score_token(std::span<const float> logits, TokenId id, std::int64_t alternatives);

class Sampler {
 public:
  /// Throws Error on a temperature below 0 or not finite, a top_p outside (0, 1] a top_k below 0,
  /// a min_p outside [0, 1], or a penalty or bias that is not finite.
  explicit Sampler(const Sampling& sampling);
  /// A token by logits [vocab]; one of −infinity is never drawn. Throws Error when there is none
  /// other, one is NaN or +infinity, or a bias is of no token.
  TokenId next(std::span<const float> logits);

 private:
  TokenId draw(std::span<const float> logits);
  std::vector<float> adjusted(std::span<const float> logits) const;
  Sampling sampling_;
  std::uint64_t state_;                         // of the random numbers
  std::map<TokenId, std::int64_t> drawn_ = {};  // how often
};

}  // namespace karat
