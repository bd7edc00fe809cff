#include "cli/run/evaluate/tasks.h"

#include <fmt/format.h>

#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/task.h"

namespace karat {
namespace {

using nlohmann::ordered_json;
using Table = std::vector<std::vector<std::string>>;

std::string plus_minus(double value, double error, bool sign = false) {
  return sign ? fmt::format("{:+.4f} ± {:.4f}", value, error)
              : fmt::format("{:.4f} ± {:.4f}", value, error);
}

ordered_json to_json(const TaskResult& result) {
  ordered_json json{{"task", result.task}};
  if (!result.group.empty()) json["group"] = result.group;
  json["shots"] = result.shots;
  json["items"] = result.items;
  json["skipped"] = result.skipped;
  for (const TaskScore& score : result.scores)
    json["metrics"][score.metric] = {{"value", score.value},
                                     {"standard_error", score.standard_error}};
  return json;
}

ordered_json to_json(const PairedScore& score) {
  ordered_json json{{"task", score.task},
                    {"metric", score.metric},
                    {"items", score.items},
                    {"difference", score.difference},
                    {"standard_error", score.standard_error}};
  if (score.discordant)
    json["mcnemar"] = {{"first_only", score.discordant->first_only},
                       {"second_only", score.discordant->second_only},
                       {"p_value", score.discordant->p_value}};
  return json;
}

template <class List>
ordered_json list_of(const List& list) {
  ordered_json json = ordered_json::array();
  for (const auto& entry : list) json.push_back(to_json(entry));
  return json;
}

ordered_json to_json(const TaskReport& report, const TaskArguments& arguments,
                     const std::string& model, const std::string& against) {
  ordered_json json{{"model", model},
                    {"data", arguments.data},
                    {"seed", arguments.seed},
                    {"results", list_of(report.results)}};
  if (!against.empty()) {
    json["against"] = {{"model", against}, {"results", list_of(report.against)}};
    json["paired"] = list_of(report.paired);
  }
  json["skipped"] = report.skipped;
  json["resumed"] = report.resumed;
  json["speed"] = {{"tokens_asked", report.speed.asked},
                   {"tokens_run", report.speed.run},
                   {"seconds", report.speed.seconds},
                   {"tokens_per_second", report.speed.rate()},
                   {"prefill_tokens_per_second", report.speed.ceiling},
                   {"tokens_prompted", report.speed.prompted},
                   {"tokens_generated", report.speed.generated},
                   {"generation_seconds", report.speed.generation_seconds},
                   {"generated_per_second", report.speed.generation_rate()}};
  return json;
}

void print_results(const TaskReport& report) {
  const bool compared = !report.against.empty();
  Table table{{"task", "shots", "items", "metric", "value ± s.e."}};
  if (compared) table.front().push_back("original ± s.e.");
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    const TaskResult& result = report.results[i];
    for (std::size_t k = 0; k < result.scores.size(); ++k) {
      const TaskScore& score = result.scores[k];
      table.push_back({result.group.empty() ? result.task : "  " + result.group,
                       std::to_string(result.shots), std::to_string(result.items), score.metric,
                       plus_minus(score.value, score.standard_error)});
      if (!compared) continue;
      const TaskScore& other = report.against[i].scores[k];
      table.back().push_back(plus_minus(other.value, other.standard_error));
    }
  }
  fmt::print("{}", format_table(table));
}

void print_pairs(const TaskReport& report) {
  if (report.paired.empty()) return;
  Table table{{"model − original", "items", "metric", "difference ± s.e.", "only model right",
               "only original", "McNemar p"}};
  for (const PairedScore& score : report.paired) {
    const auto& split = score.discordant;
    table.push_back({score.task, std::to_string(score.items), score.metric,
                     plus_minus(score.difference, score.standard_error, true),
                     split ? std::to_string(split->first_only) : "-",
                     split ? std::to_string(split->second_only) : "-",
                     split ? fmt::format("{:.4f}", split->p_value) : "-"});
  }
  fmt::print("\n{}", format_table(table));
}

void print_rest(const TaskReport& report) {
  const TaskSpeed& speed = report.speed;
  if (speed.seconds > 0)
    fmt::print(
        "\nspeed  {:.0f} tokens/s, {:.0f} % of prefill's {:.0f}; {} tokens run for {} requested\n",
        speed.rate(), 100 * speed.rate() / speed.ceiling, speed.ceiling, speed.run, speed.asked);
  if (speed.generation_seconds > 0)
    fmt::print("\nwritten {} tokens after prompts of {}: {:.0f} tokens/s\n", speed.generated,
               speed.prompted, speed.generation_rate());
  if (report.resumed > 0) fmt::print("{} items were done before\n", report.resumed);
  if (!report.skipped.empty())
    fmt::print("{} bad rows left out; the first: {}\n", report.skipped.size(), report.skipped[0]);
}

std::string listed_tasks() {
  std::string text;
  for (const std::string& name : known_tasks()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void declare_tasks(CLI::App& app, TaskArguments& arguments) {
  app.add_option("--data", arguments.data, "Folder of the tasks' data files");
  app.add_option("--shots", arguments.shots, "Solved examples before each question; -1: the task's")
      ->check(CLI::Range(-1, 1000))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Of the choice of examples")
      ->check(whole_number(std::numeric_limits<std::uint64_t>::max()))
      ->capture_default_str();
  app.add_option("--items", arguments.items, "JSON lines: what each item gave; resumed from")
      ->check(named());
  app.add_flag("--skip-bad", arguments.skip_bad, "Leave out bad rows, and say how many");
  app.add_flag("--truncate", arguments.truncate, "Cut items longer than the context at their left");
  app.footer([] { return "Tasks: " + listed_tasks() + " (docs/tasks.md)"; });
}

void run_tasks(const TaskArguments& arguments, const std::string& model, const std::string& against,
               std::int64_t limit, bool json) {
  if (arguments.data.empty()) fail("tasks", "no --data", "the folder of their data files");
  TaskOptions options{.tasks = arguments.names,
                      .data = arguments.data,
                      .shots = {},
                      .seed = arguments.seed,
                      .limit = limit,
                      .skip_bad = arguments.skip_bad,
                      .truncate = arguments.truncate,
                      .items = arguments.items,
                      .replace = arguments.replace};
  if (arguments.shots >= 0) options.shots = arguments.shots;
  const LanguageModel opened = LanguageModel::open(model);
  tell(opened.architecture().warnings);
  std::optional<LanguageModel> original;
  if (!against.empty()) original = LanguageModel::open(against);
  const TaskReport report =
      evaluate_tasks(opened, original ? &*original : nullptr, options, terminal_progress());
  if (json) {
    fmt::print("{}\n", to_json(report, arguments, model, against)
                           .dump(2, ' ', false, ordered_json::error_handler_t::replace));
    return;
  }
  print_results(report);
  print_pairs(report);
  print_rest(report);
}

}  // namespace karat
