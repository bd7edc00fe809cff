// Drawing the next token: greedy, temperature, top-k, and nucleus sampling (Holtzman et al. 2020).
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/rng.h"
#include "karat/error.h"
#include "karat/sampling.h"

namespace karat {
namespace {

struct Candidate {
  float probability;  // relative to the most likely token's
  TokenId id;
};

bool more_likely(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

/// The largest logit. −infinity forbids a token, unless all are.
float checked_top(std::span<const float> logits) {
  if (logits.empty()) fail("sampler", "no logits", "one per token of the vocabulary");
  float top = -std::numeric_limits<float>::infinity();
  bool number = true;
  for (const float logit : logits) {
    number = number && !std::isnan(logit);
    top = std::max(top, logit);
  }
  if (!number || !std::isfinite(top))
    fail("sampler", "a logit that is NaN or infinite, or none above −infinity", "finite numbers");
  return top;
}

/// The temperature as a float that divides any difference of logits into a number.
float usable(double temperature) {
  constexpr double kLeast = std::numeric_limits<float>::min(),
                   kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(temperature, kLeast, kMost));
}

/// Tokens that may be drawn, most likely first.
std::vector<Candidate> candidates(std::span<const float> logits, float top,
                                  const Sampling& sampling) {
  const float temperature = usable(sampling.temperature);
  std::vector<Candidate> all(logits.size());
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    all[i] = {std::exp((logits[i] - top) / temperature), static_cast<TokenId>(i)};
    sum += all[i].probability;
  }
  // Tokens below (1 − p)/vocab hold less than 1 − p together: the nucleus does without them.
  const double floor = (1 - sampling.top_p) * sum / static_cast<double>(logits.size());
  std::erase_if(all, [&](const Candidate& c) { return c.probability < floor; });
  // The likeliest token's is 1.
  std::erase_if(all, [&](const Candidate& c) { return c.probability < sampling.min_p; });
  if (sampling.min_p > 0) {
    sum = 0;
    for (const Candidate& c : all) sum += c.probability;
  }
  const auto keep = static_cast<std::size_t>(sampling.top_k);
  if (keep > 0 && keep < all.size()) {
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(keep);
    std::nth_element(all.begin(), end - 1, all.end(), more_likely);
    all.erase(end, all.end());
    sum = 0;
    for (const Candidate& c : all) sum += c.probability;
  }
  std::sort(all.begin(), all.end(), more_likely);
  if (sampling.top_p == 1) return all;
  double held = 0;
  std::size_t count = 0;
  while (count < all.size() && held < sampling.top_p * sum) held += all[count++].probability;
  all.resize(std::max<std::size_t>(1, count));
  return all;
}

}  // namespace

Sampler::Sampler(const Sampling& sampling) : sampling_(sampling), state_(sampling.seed) {
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
    fail("temperature", std::to_string(sampling.temperature), "a number not below 0",
         "0 takes the most likely token");
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    fail("top-p", std::to_string(sampling.top_p), "a number above 0 and at most 1");
  if (sampling.top_k < 0)
    fail("top-k", std::to_string(sampling.top_k), "a count", "0 draws from all tokens");
  if (!(sampling.min_p >= 0 && sampling.min_p <= 1))
    fail("min-p", std::to_string(sampling.min_p), "a number from 0 to 1",
         "0 draws from all tokens");
  bool finite = std::isfinite(sampling.presence_penalty + sampling.frequency_penalty);
  for (const auto& [id, bias] : sampling.bias) finite = finite && std::isfinite(bias);
  if (!finite) fail("sampler", "a penalty or bias that is not finite", "finite numbers");
}

std::vector<float> Sampler::adjusted(std::span<const float> logits) const {
  std::vector<float> result(logits.begin(), logits.end());
  const auto add = [&](TokenId id, double what) {
    if (id < 0 || static_cast<std::size_t>(id) >= result.size())
      fail("bias", "token " + std::to_string(id), "one of " + std::to_string(result.size()));
    float& logit = result[static_cast<std::size_t>(id)];
    logit = static_cast<float>(logit + what);
  };
  for (const auto& [id, bias] : sampling_.bias) add(id, bias);
  for (const auto& [id, count] : drawn_)
    add(id, -sampling_.presence_penalty - sampling_.frequency_penalty * static_cast<double>(count));
  return result;
}

TokenId Sampler::next(std::span<const float> logits) {
  const bool penalties = sampling_.presence_penalty != 0 || sampling_.frequency_penalty != 0;
  if (!penalties && sampling_.bias.empty()) return draw(logits);
  const TokenId id = draw(adjusted(logits));
  if (penalties) ++drawn_[id];
  return id;
}

TokenId Sampler::draw(std::span<const float> logits) {
  const float top = checked_top(logits);
  if (sampling_.temperature == 0)
    return static_cast<TokenId>(std::ranges::find(logits, top) - logits.begin());
  const std::vector<Candidate> all = candidates(logits, top, sampling_);
  double sum = 0;
  for (const Candidate& c : all) sum += c.probability;
  Rng rng(state_);
  double left = rng.uniform() * sum;
  state_ = rng.state();
  for (const Candidate& c : all)
    if ((left -= c.probability) < 0) return c.id;
  return all.back().id;
}

}  // namespace karat
