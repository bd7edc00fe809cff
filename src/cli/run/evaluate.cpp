// karat evaluate: Measures a model's perplexity, its distance from the original, and task scores
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/common.h"
#include "cli/run/evaluate/tasks.h"
#include "core/file.h"
#include "karat/error.h"
#include "karat/evaluate.h"

namespace karat {
namespace {

struct EvaluateOptions {
  std::string model, text, convention = "hf", against;
  std::int64_t limit = 0;
  bool json = false;
  TaskArguments tasks = {};
};

nlohmann::ordered_json to_json(const EvaluateOptions& options, const Evaluation& result) {
  nlohmann::ordered_json json{{"model", options.model},
                              {"text", options.text},
                              {"convention", result.convention},
                              {"windows", result.windows},
                              {"tokens", result.tokens},
                              {"bos", result.bos},
                              {"perplexity", result.perplexity.value},
                              {"standard_error", result.perplexity.standard_error},
                              {"nll", result.perplexity.nll}};
  if (!result.divergence) return json;
  const Divergence& kl = *result.divergence;
  json["against"] = {{"model", options.against},
                     {"perplexity", kl.original.value},
                     {"standard_error", kl.original.standard_error},
                     {"nll", kl.original.nll}};
  json["kl"] = {{"mean", kl.mean},
                {"standard_error", kl.standard_error},
                {"median", kl.median},
                {"percentile_99", kl.percentile_99},
                {"maximum", kl.maximum}};
  json["top1_agreement"] = kl.top1_agreement;
  return json;
}

void print(const Evaluation& result) {
  const auto perplexity = [](const Perplexity& p) {
    return fmt::format("{:.4f} ± {:.4f}", p.value, p.standard_error);
  };
  fmt::print("perplexity        {}\n", perplexity(result.perplexity));
  if (result.divergence) {
    const Divergence& kl = *result.divergence;
    fmt::print("of the original   {}\n", perplexity(kl.original));
    fmt::print("KL to it          mean {:.6f} ± {:.6f}, median {:.6f}, 99 % {:.6f}, max {:.6f}\n",
               kl.mean, kl.standard_error, kl.median, kl.percentile_99, kl.maximum);
    fmt::print("same first choice {:.2f} %\n", 100 * kl.top1_agreement);
  }
  fmt::print("convention        {}: {} tokens scored in {} windows, {} BOS\n", result.convention,
             result.tokens, result.windows, result.bos ? "with" : "without");
}

void run(const EvaluateOptions& options) {
  if (options.text.empty() == options.tasks.names.empty())
    fail("evaluate", options.text.empty() ? "neither --text nor --tasks" : "--text and --tasks",
         "one of them");
  if (!options.tasks.names.empty())
    return run_tasks(options.tasks, options.model, options.against, options.limit, options.json);
  const Convention& convention = find_convention(options.convention);
  const LanguageModel model = LanguageModel::open(options.model);
  std::optional<LanguageModel> original;
  if (!options.against.empty()) original = LanguageModel::open(options.against);
  const std::string text = read_text(options.text);
  const Evaluation result = evaluate_text(model, {options.text, text}, convention, options.limit,
                                          original ? &*original : nullptr, terminal_progress());
  if (options.json)
    fmt::print("{}\n", to_json(options, result).dump(2));
  else
    print(result);
}

std::string describe_conventions() {
  std::string text;
  for (const Convention& convention : conventions())
    text += fmt::format("  {:<12} {}\n", convention.name, convention.summary);
  return text;
}

}  // namespace

Action evaluate_verb(CLI::App& app) {
  app.description(
      "Measures a model's perplexity, its distance from the original, and task scores\n\n"
      "Perplexity is exp of the mean negative log-likelihood of the text's tokens; ± is its "
      "standard\n"
      "error with tokens taken as independent. It depends on how the text is cut, so the "
      "convention\n"
      "is part of the number:\n\n" +
      describe_conventions() +
      "\nWith --against, both models read the same tokens, and KL(original ‖ model) of their "
      "next-token\n"
      "distributions says what quantizing changed, in nats per token.\n\n"
      "  karat evaluate out --text test.txt --convention hf --against models/karat-tiny\n\n"
      "With --tasks, questions of local data files are scored as lm-evaluation-harness does; a "
      "pair "
      "of\n"
      "models is compared item by item.\n\n"
      "  karat evaluate out --tasks piqa,arc_easy --data examples/tasks --against "
      "models/karat-tiny");
  auto options = std::make_shared<EvaluateOptions>();
  app.add_option("model", options->model, "Folder of the model")->required();
  app.add_option("--text", options->text, "UTF-8 text to score");
  app.add_option("--convention", options->convention, "How the text is cut and scored")
      ->capture_default_str();
  app.add_option("--limit", options->limit, "Most windows, documents or task items; 0: all")
      ->capture_default_str();
  app.add_option("--against", options->against, "Folder of the original model");
  app.add_flag("--json", options->json, "Print JSON");
  declare_tasks(app, options->tasks);
  return [options] { run(*options); };
}

}  // namespace karat
