#include "evaluate/logit_rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/rng.h"

namespace karat {
namespace {

constexpr double kDeepest = 32;  // −log p of the last code
constexpr double kCodes = 65535;
constexpr std::int64_t kMostEntries = 128, kLeastEntries = 8;
constexpr double kShare = 0.048;  // of the logits in F16; the rest of the 5 % is for the header
constexpr double kNoMass = 1e-9;  // a rest below this says nothing

/// The likeliest `count` tokens, likeliest first, lowest ids first among equals.
std::vector<TokenId> likeliest(std::span<const float> logits, std::int64_t count) {
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](TokenId a, TokenId b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(count);
  if (end != order.end()) std::nth_element(order.begin(), end, order.end(), before);
  std::sort(order.begin(), end, before);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

/// Probabilities with those of the likeliest tokens set to 0.
std::vector<double> rest_of(std::span<const float> logits, const LogSoftmax& p,
                            std::span<const TokenId> top) {
  std::vector<double> rest(logits.size());
  for (std::size_t i = 0; i < rest.size(); ++i)
    rest[i] = static_cast<double>(std::exp(static_cast<float>(logits[i] - p.log_sum)));
  for (const TokenId id : top) rest[static_cast<std::size_t>(id)] = 0;
  return rest;
}

/// Systematic sampling: `count` points at equal distances along the tokens' probabilities, so that
/// a token is drawn count · p / mass times in the mean.
void draw(std::span<const double> rest, double mass, std::int64_t count, std::uint64_t seed,
          std::vector<TokenId>& ids) {
  const double step = mass / static_cast<double>(count);
  double point = Rng(seed).uniform() * step, sum = 0;
  TokenId last = 0;
  const std::size_t wanted = ids.size() + static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == 0) continue;
    last = static_cast<TokenId>(i);
    sum += rest[i];
    for (; point < sum && ids.size() < wanted; point += step) ids.push_back(last);
  }
  ids.resize(wanted, last);  // where rounding or a mass of 0 left points over
}

}  // namespace

RowShape row_shape(std::int64_t vocab) {
  const auto room = kShare * 2 * static_cast<double>(vocab) - 6;  // bytes; 6: nll and rest
  const double entry = vocab <= kWideVocab ? 4 : 6;
  const auto entries =
      std::clamp(static_cast<std::int64_t>(room / entry), kLeastEntries, kMostEntries);
  if (entries >= vocab) return {vocab, 0};
  return {entries - entries / 4, entries / 4};
}

std::uint16_t log_code(double log_p) {
  const double share = std::sqrt(std::clamp(-log_p / kDeepest, 0.0, 1.0));
  return static_cast<std::uint16_t>(std::lround(kCodes * share));
}

double decode_log(std::uint16_t code) {
  const double share = code / kCodes;
  return -kDeepest * share * share;
}

CachedRow cache_row(std::span<const float> logits, const LogSoftmax& p, TokenId next,
                    const RowShape& shape, std::uint64_t seed) {
  CachedRow row{.nll = static_cast<float>(negative_log_likelihood(logits, p, next))};
  row.ids = likeliest(logits, shape.top);
  double mass = 0;
  if (shape.sampled > 0) {
    const std::vector<double> rest = rest_of(logits, p, row.ids);
    mass = std::accumulate(rest.begin(), rest.end(), 0.0);
    draw(rest, mass, shape.sampled, seed, row.ids);
  }
  row.rest = log_code(std::log(mass));
  for (const TokenId id : row.ids)
    row.codes.push_back(log_code(-negative_log_likelihood(logits, p, id)));
  return row;
}

double kl_divergence(const CachedRow& cached, const RowShape& shape,
                     std::span<const float> candidate, const LogSoftmax& q) {
  const auto log_q = [&](std::size_t i) {
    return -negative_log_likelihood(candidate, q, cached.ids[i]);
  };
  const auto top = static_cast<std::size_t>(shape.top);
  double sum = 0, p_sum = 0, q_sum = 0;
  for (std::size_t i = 0; i < top; ++i) {
    const double log_p = decode_log(cached.codes[i]), p = std::exp(log_p);
    sum += p * (log_p - log_q(i));
    p_sum += p;
    q_sum += std::exp(log_q(i));
  }
  const double log_rest = decode_log(cached.rest), rest = std::exp(log_rest);
  const double q_rest = std::max(1 - q_sum, kNoMass);
  if (shape.sampled > 0 && rest > kNoMass) {
    double inside = 0;
    for (std::size_t i = top; i < cached.ids.size(); ++i) {
      const double log_ratio =  // of the candidate's probability to the original's, in the rest
          log_q(i) - std::log(q_rest) - decode_log(cached.codes[i]) + log_rest;
      inside += std::exp(log_ratio) - 1 - log_ratio;
    }
    sum += rest * (log_rest - std::log(q_rest) + inside / static_cast<double>(shape.sampled));
    p_sum += rest;
  }
  return std::max(0.0, sum + 1 - p_sum);  // of the codes' rounding only the square is left
}

TopFive top_five(const CachedRow& cached, const RowShape& shape) {
  TopFive top;
  top.fill(-1);
  const auto count = std::min(kTopFive, static_cast<std::size_t>(shape.top));
  std::copy_n(cached.ids.begin(), count, top.begin());
  return top;
}

}  // namespace karat
