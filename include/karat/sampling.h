// How the next token is drawn.
#pragma once

#include <cstdint>
#include <span>

#include "karat/tokenizer.h"

namespace karat {

struct Sampling {
  double temperature = 0.8;  // 0: the most likely token
  double top_p = 0.95;       // draws from the smallest set of tokens with this probability
  std::int64_t top_k = 0;    // draws from the k most likely tokens; 0: all
  std::uint64_t seed = 0;
};

class Sampler {
 public:
  /// Throws Error on a temperature below 0 or not finite, a top_p outside (0, 1] or a top_k below
  /// 0.
  explicit Sampler(const Sampling& sampling);
  /// A token by logits [vocab]; one of −infinity is never drawn. Throws Error when there is none
  /// other, or one is NaN or +infinity.
  TokenId next(std::span<const float> logits);

 private:
  Sampling sampling_;
  std::uint64_t state_;  // of the random numbers
};

}  // namespace karat
