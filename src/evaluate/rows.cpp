#include "evaluate/rows.h"

#include <algorithm>
#include <cmath>

#include "core/rng.h"

namespace karat {
namespace {

// Without a candidate a cache is tried on the original's own logits with noise of this size, which
// makes a KL of about 0.005 as rounding to 4 bits does; on every eighth token, as noise takes time.
constexpr double kNoise = 0.1;
constexpr std::int64_t kNoiseEvery = 8;

std::vector<float> with_noise(std::span<const float> logits, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> noisy(logits.begin(), logits.end());
  const double width = kNoise * std::sqrt(12.0);  // of a uniform with this standard deviation
  for (float& logit : noisy) logit += static_cast<float>(width * (rng.uniform() - 0.5));
  return noisy;
}

void compare(RowScore& score, double original_nll, const LogSoftmax& q, TokenId best,
             const TopFive& five, std::span<const float> logits) {
  score.original_nll = original_nll;
  score.probability_change = std::exp(-score.nll) - std::exp(-original_nll);
  score.same_first = best == q.best;
  score.shared_five = shared_tokens(five, top_five(logits));
}

void score_against_cache(const RowTask& task, const LogSoftmax& q, RowScore& score) {
  const CachedRow row = task.cache->row(task.index);
  score.divergence = kl_divergence(row, task.cache->shape(), task.logits, q);
  compare(score, static_cast<double>(row.nll), q, row.ids.front(),
          top_five(row, task.cache->shape()), task.logits);
}

void score_against_logits(const RowTask& task, const LogSoftmax& q, RowScore& score) {
  const LogSoftmax p = log_softmax(task.original);
  score.divergence = kl_divergence(task.original, p, task.logits, q);
  compare(score, negative_log_likelihood(task.original, p, task.next), q, p.best,
          top_five(task.original), task.logits);
  if (!task.recorder) return;
  const CachedRow row = task.recorder->record(task.index, task.original, p, task.next);
  score.cached = kl_divergence(row, task.recorder->shape(), task.logits, q);
  score.checked = score.divergence;
}

/// The model is the original.
void record_alone(const RowTask& task, const LogSoftmax& p, RowScore& score) {
  const CachedRow row = task.recorder->record(task.index, task.logits, p, task.next);
  if (task.index % kNoiseEvery != 0) return;
  const std::vector<float> noisy = with_noise(task.logits, static_cast<std::uint64_t>(task.index));
  const LogSoftmax q = log_softmax(noisy);
  score.checked = kl_divergence(task.logits, p, noisy, q);
  score.cached = kl_divergence(row, task.recorder->shape(), noisy, q);
}

}  // namespace

RowScore score_row(const RowTask& task) {
  const LogSoftmax q = log_softmax(task.logits);
  RowScore score{.nll = negative_log_likelihood(task.logits, q, task.next)};
  if (task.cache)
    score_against_cache(task, q, score);
  else if (!task.original.empty())
    score_against_logits(task, q, score);
  else if (task.recorder)
    record_alone(task, q, score);
  if (!task.rounded.empty())
    score.rounded_nll = negative_log_likelihood(task.rounded, log_softmax(task.rounded), task.next);
  return score;
}

void RowSums::add(const RowScore& row, bool compared) {
  nll_.add(row.nll);
  if (row.rounded_nll) {
    nlls_.push_back(row.nll);
    rounded_nlls_.push_back(*row.rounded_nll);
  }
  if (row.cached) {
    exact_.add(row.checked);
    cached_.add(*row.cached);
    deviation_square_.add(std::pow(*row.cached - row.checked, 2));
  }
  if (!compared) return;
  original_nll_.add(row.original_nll);
  divergence_.add(row.divergence);
  divergences_.push_back(static_cast<float>(row.divergence));
  shared_five_.add(row.shared_five);
  change_square_.add(row.probability_change * row.probability_change);
  same_first_ += row.same_first;
}

Divergence RowSums::divergence(std::int64_t vocab) {
  const auto tokens = static_cast<double>(divergence_.count());
  const double five = std::min(static_cast<double>(kTopFive), static_cast<double>(vocab));
  return {.mean = divergence_.value(),
          .standard_error = divergence_.standard_error(),
          .median = quantile(divergences_, 0.5),
          .percentile_90 = quantile(divergences_, 0.9),
          .percentile_99 = quantile(divergences_, 0.99),
          .percentile_999 = quantile(divergences_, 0.999),
          .maximum = quantile(divergences_, 1),
          .top1_agreement = static_cast<double>(same_first_) / tokens,
          .top5_agreement = shared_five_.value() / five,
          .probability_rms = std::sqrt(change_square_.value()),
          .original = perplexity_of(original_nll_)};
}

std::optional<CacheCheck> RowSums::check(bool noise) const {
  if (exact_.count() == 0) return {};
  return CacheCheck{noise, exact_.value(), cached_.value(), std::sqrt(deviation_square_.value())};
}

std::optional<RoundedActivations> RowSums::rounded() const {
  if (nlls_.empty()) return {};
  return compare_perplexity(nlls_, rounded_nlls_);
}

}  // namespace karat
