#include "task/metrics.h"

#include <algorithm>
#include <cmath>

#include "evaluate/statistics.h"

namespace karat {
namespace {

constexpr const char* kPerplexity = "perplexity";

/// The first of the largest.
template <class Value>
std::int64_t best_of(std::size_t count, Value value) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < count; ++i)
    if (value(i) > value(best)) best = i;
  return static_cast<std::int64_t>(best);
}

double metric_of(const std::string& metric, const TaskDefinition& task, const ItemResult& item) {
  const auto likelihood = [&](std::size_t i) { return item.scores[i].loglikelihood; };
  const std::size_t count = item.scores.size();
  if (metric == kPerplexity) return likelihood(0);
  if (metric == "acc_norm")
    return best_of(count, [&](std::size_t i) {
             return likelihood(i) / static_cast<double>(item.lengths[i]);
           }) == item.gold;
  if (task.kind == TaskKind::continuation) return item.scores.front().greedy;
  return best_of(count, likelihood) == item.gold;
}

bool is_right_or_wrong(const std::string& metric) {
  return metric != kPerplexity;
}

Mean mean_of(const std::string& metric, std::span<const ItemResult* const> items) {
  Mean mean;
  for (const ItemResult* item : items) mean.add(item->metrics.at(metric));
  return mean;
}

TaskScore score_of(const std::string& metric, const Mean& mean) {
  if (metric != kPerplexity) return {metric, mean.value(), mean.standard_error()};
  const double value = std::exp(-mean.value());
  return {metric, value, value * mean.standard_error()};  // by the delta method
}

/// log of n over k
double log_choose(std::int64_t n, std::int64_t k) {
  const auto log_factorial = [](std::int64_t m) { return std::lgamma(static_cast<double>(m) + 1); };
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

PairedScore compare_metric(const std::string& task, const std::string& metric,
                           std::span<const ItemResult* const> first,
                           std::span<const ItemResult* const> second) {
  PairedScore paired{.task = task, .metric = metric};
  Mean difference;
  PairedScore::Discordant discordant;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double a = first[i]->metrics.at(metric), b = second[i]->metrics.at(metric);
    difference.add(a - b);
    discordant.first_only += a > b;
    discordant.second_only += a < b;
  }
  paired.difference = difference.value();
  paired.standard_error = difference.standard_error();
  paired.items = difference.count();
  if (is_right_or_wrong(metric)) {
    discordant.p_value = mcnemar(discordant.first_only, discordant.second_only);
    paired.discordant = discordant;
  } else {  // of log-likelihoods, so that better is larger here too
    paired.metric = "loglikelihood";
  }
  return paired;
}

}  // namespace

void judge(const TaskDefinition& task, ItemResult& item) {
  if (item.scores.empty()) return;
  for (const std::string& metric : task.metrics)
    item.metrics[metric] = metric_of(metric, task, item);
}

std::vector<TaskScore> summarize(std::span<const ItemResult* const> items) {
  std::vector<TaskScore> scores;
  if (items.empty()) return scores;
  for (const auto& [metric, value] : items.front()->metrics)
    scores.push_back(score_of(metric, mean_of(metric, items)));
  return scores;
}

std::vector<PairedScore> compare_pairs(const std::string& task,
                                       std::span<const ItemResult* const> first,
                                       std::span<const ItemResult* const> second) {
  std::vector<PairedScore> paired;
  if (first.empty()) return paired;
  for (const auto& [metric, value] : first.front()->metrics)
    paired.push_back(compare_metric(task, metric, first, second));
  return paired;
}

double mcnemar(std::int64_t first_only, std::int64_t second_only) {
  const std::int64_t n = first_only + second_only, fewer = std::min(first_only, second_only);
  double tail = 0;
  for (std::int64_t k = 0; k <= fewer; ++k)
    tail += std::exp(log_choose(n, k) - static_cast<double>(n) * std::log(2.0));
  return std::min(1.0, 2 * tail);
}

}  // namespace karat
