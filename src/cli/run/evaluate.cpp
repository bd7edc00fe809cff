// karat evaluate: Measures a model's perplexity, its distance from the original, and task scores
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>

#include "cli/common.h"
#include "cli/run/evaluate/tasks.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/runtime.h"
#include "karat/text_evaluation.h"
#include "karat/text_file.h"

namespace karat {
namespace {

constexpr const char* kTextOptions = "With --text";
constexpr const char* kTaskOptions = "With --tasks";

struct EvaluateArguments {
  TextJob job;
  std::string activations;
  bool json = false;
  TaskArguments tasks = {};
};

/// The program's runtime; with the option, its activations.
Runtime chosen_runtime(EvaluateArguments& arguments) {
  const std::string& name = arguments.activations;
  arguments.job.both_activations = name == "both";
  if (!name.empty() && name != "f32" && name != "q8" && name != "both")
    fail("activations", "\"" + name + "\"", "f32, q8 or both");
  if (arguments.job.both_activations && !arguments.tasks.names.empty())
    fail("evaluate", "--activations both with --tasks", "f32 or q8",
         "run the tasks once with each");
  const Runtime now = Runtime::current();
  return name.empty() || name == "both" ? now : now.with(parse_activations(name));
}

/// An option that the other kind of work has would be ignored.
void refuse_group(const CLI::App& app, const std::string& group) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_group() == group && option->count() > 0)
      fail("evaluate", option->get_name() + " without " + group.substr(group.find('-')),
           "options of the work at hand");
}

bool holds_records(const std::filesystem::path& file, const std::string& field) {
  return !file.empty() && TextFile::open(file, field).is_records();
}

/// Refuses options that would change nothing.
void check_options(const CLI::App& app, const EvaluateArguments& arguments) {
  const TextJob& job = arguments.job;
  const bool texts = !job.text.empty(), tasks = !arguments.tasks.names.empty();
  if (texts == tasks)
    fail("evaluate", texts ? "--text and --tasks" : "neither --text nor --tasks", "one of them");
  refuse_group(app, texts ? kTaskOptions : kTextOptions);
  if (job.replace && job.save_logits.empty() && arguments.tasks.items.empty())
    fail("evaluate", "--force without --save-logits or --items", "a file to replace");
  if (app.count("--stride") > 0 && job.stride < 1)
    fail("evaluate", fmt::format("--stride {}", job.stride), "1 token or more");
  if (app.count("--field") > 0 && !holds_records(job.text, job.field) &&
      !holds_records(job.calibration, job.field))
    fail("evaluate", fmt::format("--field {} with the plain text {}", job.field, job.text.string()),
         "JSON records", "leave --field out: the whole file is the text");
}

void run(const CLI::App& app, EvaluateArguments& arguments) {
  TextJob& job = arguments.job;
  TaskArguments& tasks = arguments.tasks;
  check_options(app, arguments);
  tasks.replace = job.replace;
  const Runtime::Scope scope(chosen_runtime(arguments));
  if (!tasks.names.empty())
    return run_tasks(tasks, job.model, job.original, job.limit, arguments.json);
  job.command = command_line();
  job.progress = terminal_progress();
  const TextEvaluation result = evaluate_text(job);
  tell(result.warnings);
  if (result.overlap && result.overlap->hits > 0)
    fmt::print(stderr, "karat: warning: {}\n", overlap_warning(*result.overlap));
  fmt::print("{}", arguments.json ? to_json(result) : to_text(result));
}

std::string describe_conventions() {
  std::string text;
  for (const Convention& convention : conventions())
    text += fmt::format("  {:<12} {}\n", convention.name, convention.summary);
  return text;
}

std::string help() {
  return fmt::format(
      R"(Measures a model's perplexity, its distance from the original, and task scores

Perplexity is exp of the mean negative log-likelihood of the text's tokens; ± is its standard
error with tokens taken as independent. It depends on how the text is cut, so the convention
is part of the number:

{}
With --against, both models read the same tokens, and KL(original ‖ model) of their next-token
distributions says what quantizing changed, in nats per token. --save-logits keeps the original's
logits in a small file, so that it runs once for many candidates.

  karat evaluate out --text test.txt --convention all --against models/karat-tiny
  karat evaluate models/karat-tiny --text test.txt --save-logits tiny.logits
  karat evaluate out --text test.txt --against-logits tiny.logits

With --tasks, questions of local data files are scored as lm-evaluation-harness does; a pair
of models is compared item by item.

  karat evaluate out --tasks piqa,rte --data examples/tasks --against models/karat-tiny)",
      describe_conventions());
}

void declare_text(CLI::App& app, EvaluateArguments& arguments) {
  TextJob& job = arguments.job;
  app.option_defaults()->group(kTextOptions);
  app.add_option("--field", job.field, "The key of a JSON record's text")->capture_default_str();
  app.add_option("--convention", job.conventions,
                 "How the text is cut and scored (default: hf): comma-separated names, or all");
  app.add_option("--stride", job.stride, "Tokens from window to window of the convention strided");
  app.add_option("--save-logits", job.save_logits,
                 "File to write: the original's logits, or the model's without --against")
      ->check(named());
  app.add_option("--against-logits", job.logits, "Such a file, instead of the original");
  app.add_option(
      "--calib", job.calibration,
      "Calibration text to look for in the text (default: what the model's report names)");
}

}  // namespace

Action evaluate_verb(CLI::App& app) {
  app.description(help());
  auto arguments = std::make_shared<EvaluateArguments>();
  TextJob& job = arguments->job;
  app.add_option("model", job.model, "Folder or GGUF file of the model")->required();
  app.add_option("--text", job.text, "Text to score: plain UTF-8, or JSON records");
  app.add_option("--tasks", arguments->tasks.names, "Tasks to score, or paths of task files")
      ->delimiter(',');
  app.add_option("--limit", job.limit, "Most windows, documents or task items; 0: all")
      ->capture_default_str();
  app.add_option("--against", job.original, "Folder of the original model");
  app.add_flag("--force", job.replace, "Replace a file of logits, or items of other work");
  app.add_option("--activations", arguments->activations,
                 "f32 (default), q8: rounded to 8 bits where packed layers have such kernels, or\n"
                 "both: the text is read with each, and what that changes is printed");
  app.add_flag("--json", arguments->json, "Print JSON");
  declare_text(app, *arguments);
  app.option_defaults()->group(kTaskOptions);
  declare_tasks(app, arguments->tasks);
  app.option_defaults()->group("Options");
  return [&app, arguments] { run(app, *arguments); };
}

}  // namespace karat
