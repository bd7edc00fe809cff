// Tasks: sets of questions with known answers, scored as lm-evaluation-harness scores them. A task
// is a file tasks/<name>.json; docs/tasks.md says what is in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "karat/language_model.h"
#include "karat/progress.h"

namespace karat {

/// Names of the tasks that came with the program, sorted.
std::vector<std::string> known_tasks();

struct TaskOptions {
  std::vector<std::string> tasks;     // names, or paths of task files that end in ".json"
  std::filesystem::path data;         // folder of the data files, or a folder of such folders
  std::optional<std::int64_t> shots;  // solved examples before each question; nothing: the task's
  std::uint64_t seed = 0;             // of the choice of examples
  std::int64_t limit = 0;             // questions of each data file; 0: all
  bool skip_bad = false;              // bad rows are counted and left out instead of an Error
  bool truncate = false;              // too long an item loses tokens at its left
  /// What each item gave, one JSON object a line, written as items are done. Items that are there
  /// of the same work are not run again; anything else there is an Error.
  std::filesystem::path items = {};
  bool replace = false;  // items of other work that are there
};

struct TaskScore {
  std::string metric;         // "acc", "acc_norm", "perplexity", "exact_match,strict-match", …
  double value = 0;           // perplexity: exp of minus the mean log-likelihood
  double standard_error = 0;  // s/√items with s² = Σ(x − mean)²/(items − 1)
};
struct TaskResult {
  std::string task, group;  // group: the data file's part of a task of several; empty: all of it
  std::int64_t shots = 0, items = 0, skipped = 0;
  std::vector<TaskScore> scores;
};

/// first − second over the same items. The standard error is that of the mean of the items'
/// differences, so what both models find easy or hard cancels.
struct PairedScore {
  std::string task, metric;
  double difference = 0, standard_error = 0;
  std::int64_t items = 0;
  /// Items that one model alone has right, and McNemar's exact two-sided p-value of such a split;
  /// only of metrics that are 0 or 1.
  struct Discordant {
    std::int64_t first_only = 0, second_only = 0;
    double p_value = 1;
  };
  std::optional<Discordant> discordant = {};
};

/// What the model did, and what it could have done.
struct TaskSpeed {
  std::int64_t asked = 0;  // tokens of all requests, each counted as if it were run alone
  std::int64_t run = 0;    // of them that went through the model: shared beginnings go once
  double seconds = 0;      // of scoring, log-likelihoods included, generation left out
  double ceiling = 0;      // tokens/s of one prompt of 256 tokens, or of the context if shorter
  double rate() const {    // tokens/s
    return seconds > 0 ? static_cast<double>(run) / seconds : 0;
  }
  std::int64_t prompted = 0, generated = 0;  // tokens of generation: read, and decoded after them
  double generation_seconds = 0;
  double generation_rate() const {  // decoded tokens/s, the prompts' time included
    return generation_seconds > 0 ? static_cast<double>(generated) / generation_seconds : 0;
  }
};

struct TaskReport {
  std::vector<TaskResult> results;  // a task, then its groups
  std::vector<TaskResult> against;  // the same of the second model
  std::vector<PairedScore> paired;
  std::vector<std::string> skipped;  // why, one line for each row left out
  std::int64_t resumed = 0;          // items taken from TaskOptions::items
  TaskSpeed speed;                   // of the first model
};

/// Runs the tasks. Throws Error on an unknown task, a missing file, or a bad row (named by file and
/// line).
TaskReport evaluate_tasks(const LanguageModel& model, const LanguageModel* against,
                          const TaskOptions& options, const ProgressFn& progress = {});

}  // namespace karat
