// From what a model gave for an item to metrics, and from items to numbers with their errors.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "karat/task.h"
#include "task/definition.h"
#include "task/score.h"

namespace karat {

/// One item of a task, answered by one model.
struct ItemResult {
  std::string task, group;
  std::int64_t row = 0, gold = 0;
  std::vector<Score> scores;              // of each request
  std::vector<std::int64_t> lengths;      // code points of each choice
  std::string response;                   // kinds generation and boxes
  std::map<std::string, double> metrics;  // value of this item, by name
};

/// Fills `metrics` from scores, as lm-evaluation-harness does: the most likely choice (the first
/// among equals) by log-likelihood, or by log-likelihood over code points.
void judge(const TaskDefinition& task, ItemResult& item);

/// Mean over the items, or what a metric makes of it.
std::vector<TaskScore> summarize(std::span<const ItemResult* const> items);

/// first[i] and second[i] are the same item.
std::vector<PairedScore> compare_pairs(const std::string& task,
                                       std::span<const ItemResult* const> first,
                                       std::span<const ItemResult* const> second);

/// Exact two-sided McNemar test: the probability, if either model were as likely to be the one that
/// is right, of a split of the discordant items at least as uneven (McNemar 1947, binomial form).
double mcnemar(std::int64_t first_only, std::int64_t second_only);

}  // namespace karat
