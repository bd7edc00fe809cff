// Tasks from end to end: everything is read and encoded first, then each model goes through it.
#include <algorithm>
#include <deque>
#include <set>

#include "core/hash.h"
#include "karat/error.h"
#include "karat/runtime.h"
#include "karat/task.h"
#include "task/runner.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// A model and what it is asked.
struct Side {
  const LanguageModel* model = nullptr;
  int number = 0;
  Encoder encoder;
  std::vector<ItemGroup> groups = {};
};

/// Of the files that the answers come from; others of the folder make no difference.
std::string fingerprint(const LanguageModel& model) {
  const fs::path& folder = model.folder();
  std::set<fs::path> files;
  for (const fs::path& file : Safetensors::files_of(folder)) files.insert(file);
  for (const fs::path& file : Tokenizer::files(folder)) files.insert(file);
  for (const char* name : {"config.json", "generation_config.json"})
    if (fs::exists(folder / name)) files.insert(folder / name);
  std::string hashes;
  for (const fs::path& file : files) hashes += sha256_file(file);
  return sha256(std::as_bytes(std::span(hashes)));
}

std::string hash_text(const std::string& text) {
  return sha256(std::as_bytes(std::span(text)));
}

/// Which work the journal is of. What is given by name is told by its bytes.
ordered_json describe(const std::vector<Side>& sides, const std::vector<DocumentGroup>& documents,
                      const TaskOptions& options) {
  ordered_json header{{"karat_items", 1}};
  for (const Side& side : sides) header["models"].push_back(fingerprint(*side.model));
  header["seed"] = options.seed;
  header["limit"] = options.limit;
  header["truncate"] = options.truncate;
  header["skip_bad"] = options.skip_bad;
  const Activations activations = Runtime::current().activations();
  if (activations != Activations::f32) header["activations"] = name_of(activations);
  for (const DocumentGroup& group : documents)
    header["data"].push_back({{"task", group.task->name},
                              {"definition", hash_text(group.task->text)},
                              {"shots", group.shots},
                              {"file", sha256_file(group.file.path)}});
  return header;
}

Output items_output(const LanguageModel& model, const LanguageModel* against,
                    const TaskOptions& options) {
  Output output{.path = options.items,
                .replace = options.replace,
                .inputs = {model.folder(), options.data},
                .not_former = not_items};
  if (against) output.inputs.push_back(against->folder());
  return output;
}

using Items = std::vector<const ItemResult*>;

Items results_of(const Side& side, const ItemGroup& group, const Journal& journal) {
  Items found;
  for (const Item& item : group.items)
    found.push_back(journal.find(side.number, group.task->name, group.group, item.document.row));
  return found;
}

TaskResult result_of(const ItemGroup& group, const std::string& name, const Items& items,
                     std::int64_t skipped) {
  return {group.task->name, name, group.shots, static_cast<std::int64_t>(items.size()), skipped,
          summarize(items)};
}

/// Results of each task, then of its groups when they are several.
std::vector<TaskResult> results(const Side& side, const Journal& journal) {
  std::vector<TaskResult> all;
  for (std::size_t i = 0, end = 0; i < side.groups.size(); i = end) {
    Items together;
    std::vector<TaskResult> parts;
    std::int64_t skipped = 0;
    for (end = i; end < side.groups.size() && side.groups[end].task == side.groups[i].task; ++end) {
      const Items items = results_of(side, side.groups[end], journal);
      parts.push_back(
          result_of(side.groups[end], side.groups[end].group, items, side.groups[end].skipped));
      skipped += side.groups[end].skipped;
      together.insert(together.end(), items.begin(), items.end());
    }
    all.push_back(result_of(side.groups[i], "", together, skipped));
    if (parts.size() > 1) all.insert(all.end(), parts.begin(), parts.end());
  }
  return all;
}

/// Items that both models have answered, task by task.
std::vector<PairedScore> paired(const Side& first, const Side& second, const Journal& journal) {
  std::vector<PairedScore> all;
  for (std::size_t i = 0, end = 0; i < first.groups.size(); i = end) {
    Items ours, theirs;
    const TaskDefinition& task = *first.groups[i].task;
    for (end = i; end < first.groups.size() && first.groups[end].task == &task; ++end)
      for (const ItemResult* item : results_of(first, first.groups[end], journal))
        if (const auto* other = journal.find(second.number, item->task, item->group, item->row)) {
          ours.push_back(item);
          theirs.push_back(other);
        }
    const auto scores = compare_pairs(task.name, ours, theirs);
    all.insert(all.end(), scores.begin(), scores.end());
  }
  return all;
}

std::deque<TaskDefinition> definitions(const TaskOptions& options) {
  std::deque<TaskDefinition> tasks;
  if (options.tasks.empty()) fail("tasks", "none", "at least one name");
  for (const std::string& name : options.tasks) {
    TaskDefinition task = find_task(name);
    const auto same = [&](const TaskDefinition& other) { return other.name == task.name; };
    if (std::ranges::any_of(tasks, same)) fail("tasks", task.name + " twice", "each task once");
    tasks.push_back(std::move(task));
  }
  return tasks;
}

void run_side(const Side& side, Journal& journal, const ProgressFn& progress, TaskSpeed& speed) {
  std::int64_t total = 0;
  for (const ItemGroup& group : side.groups)
    for (const Item& item : group.items) total += Runner::weight(item);
  Progress meter("tasks", total, progress);
  Runner runner(*side.model, side.number, journal, meter);
  for (const ItemGroup& group : side.groups) runner.run(group, side.encoder.tokenizer());
  speed = runner.speed();
  if (speed.seconds > 0) speed.ceiling = prefill_ceiling(*side.model);
}

}  // namespace

TaskReport evaluate_tasks(const LanguageModel& model, const LanguageModel* against,
                          const TaskOptions& options, const ProgressFn& progress) {
  const Output items = items_output(model, against, options);
  Journal::check(items);
  const std::deque<TaskDefinition> tasks = definitions(options);
  TaskReport report;
  std::set<std::string> told;
  const SkipFn skip = !options.skip_bad ? SkipFn() : [&](const std::string& problem) {
    if (told.insert(problem).second) report.skipped.push_back(problem);
  };
  std::vector<DocumentGroup> documents;
  for (const TaskDefinition& task : tasks)
    for (DocumentGroup& group : read_documents(task, options, skip))
      documents.push_back(std::move(group));

  std::vector<Side> sides;
  sides.push_back({&model, 0, Encoder(model, options.truncate)});
  if (against) sides.push_back({against, 1, Encoder(*against, options.truncate)});
  for (Side& side : sides)
    for (const DocumentGroup& group : documents) {
      side.groups.push_back(encode(group, side.encoder, options, skip));
      if (side.groups.back().items.empty())
        fail("task " + group.task->name, "no item left of " + group.file.path.string(),
             "at least one",
             report.skipped.empty() ? "" : "the first was bad: " + report.skipped[0]);
    }

  Journal journal(items,
                  items.path.empty() ? ordered_json() : describe(sides, documents, options));
  report.resumed = journal.resumed();
  TaskSpeed other;
  try {
    for (Side& side : sides) run_side(side, journal, progress, side.number ? other : report.speed);
  } catch (const Interrupted&) {
    if (options.items.empty()) throw;
    throw Interrupted{options.items.string() + " keeps what is done; the same command goes on"};
  }
  report.results = results(sides[0], journal);
  if (against) {
    report.against = results(sides[1], journal);
    report.paired = paired(sides[0], sides[1], journal);
  }
  return report;
}

}  // namespace karat
