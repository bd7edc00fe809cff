// karat compare: Quantizes a model in several ways and says what each costs
#include "karat/compare.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>

#include "cli/common.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/overlap.h"
#include "karat/text_notice.h"

namespace karat {
namespace {

constexpr const char* kCompareHelp =
    R"(Quantizes a model in several ways and says what each costs

  karat compare models/karat-tiny --methods rtn,gptq,gwq --bits 3,4 --calib calibration.txt \
      --text test.txt --html page.html
  karat compare models/karat-tiny --methods gptq --recipe "mine=gwq --grid uniform:group=32" \
      --equal-bits --seeds 3 --calib calibration.txt --text test.txt --json

One row a method, measured against the original on the same text: bits per weight counted in the
file, perplexity, KL from the original, seconds and peak memory. Plain rounding of the same size is
always added, and each row says its KL over that one's: below 1, a method is worth its trouble. With
--equal-bits the grids' groups, or the weights kept where a grid has none, are chosen so that all
rows are as large, which is the fair comparison.

A --recipe is a label, a method, and those flags of `karat quantize` that make a recipe, --metric to
--detach. The options of this verb hold for whatever a recipe does not say itself. Quantized models
are kept in a temporary folder, one at a time.)";

struct CompareArguments {
  CompareJob job;
  std::string methods, bits;
  CompareDefaults defaults;
  std::vector<std::string> recipes;
  bool json = false;
};

void declare_recipes(CLI::App& app, CompareArguments& a) {
  app.add_option("model", a.job.model, "Folder or GGUF file of the original model")->required();
  app.add_option("--methods", a.methods, "Comma-separated; see `karat methods`");
  app.add_option("--recipe", a.recipes, "\"label=method --grid … --solver …\"; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--bits", a.bits, "Bits of a code, comma-separated: a row for each");
  app.add_option("--group", a.defaults.group, "Inputs that share statistics: the grids' `group`");
  app.add_option("--ratio", a.defaults.ratio, "Share kept at FP16: the selectors' `ratio`");
  app.add_flag("--equal-bits", a.job.equal_bits,
               "Choose every grid's group so that rows are as large as the largest");
  app.add_option("--target-bits", a.job.target_bits, "As large as this instead; bits per weight");
}

void declare_texts(CLI::App& app, CompareArguments& a) {
  CalibrationRequest& calibration = a.job.calibration;
  app.add_option("--calib", calibration.file, "Calibration text: plain UTF-8, or JSON records");
  app.add_option("--field", calibration.field, "The key of a JSON record's text")
      ->capture_default_str();
  app.add_option("--samples", calibration.samples, "Sequences to read (default: the method's)");
  app.add_option("--length", calibration.length,
                 "Tokens a sequence (default: 2048, or as many as the model knows)");
  app.add_option("--seeds", a.job.seeds, "Calibration seeds 1 … N; rows are their mean")
      ->capture_default_str();
  app.add_option("--text", a.job.text, "Text to score: plain UTF-8, or JSON records")->required();
  app.add_option("--convention", a.job.convention,
                 "How it is cut (default: hf); see `karat evaluate --help`");
  app.add_option("--limit", a.job.limit, "Most windows or documents; 0: all")
      ->capture_default_str();
}

void declare_output(CLI::App& app, CompareArguments& a) {
  app.add_flag("--json", a.json, "Print JSON instead of the table");
  app.add_option("--html", a.job.html, "Page to write: table and plot, readable offline")
      ->check(named());
  app.add_option("--report", a.job.report, "JSON file to write")->check(named());
  app.add_flag("--force", a.job.replace, "Replace what compare wrote there before");
  app.add_option("--work", a.job.work, "Folder for temporary models (default: the system's)");
}

/// "a,b" as its items; an empty one is an error.
std::vector<std::string> split(const std::string& option, const std::string& text) {
  std::vector<std::string> items;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    items.push_back(text.substr(begin, end - begin));
    if (items.back().empty())
      fail(option, fmt::format("'{}'", text), "values separated by single commas");
    begin = end + 1;
  }
  return items;
}

std::vector<CompareRecipe> recipes_of(CompareArguments& a) {
  std::vector<CompareRecipe> recipes;
  if (!a.methods.empty())
    for (const std::string& name : split("--methods", a.methods))
      recipes.push_back({.label = name, .method = name});
  for (const std::string& text : a.recipes) recipes.push_back(parse_recipe(text));
  if (recipes.empty())
    fail("compare", "no method", "--methods a,b,c or --recipe \"label=method …\"");
  if (!a.bits.empty()) a.defaults.bits = split("--bits", a.bits);
  if ((a.job.equal_bits || a.job.target_bits) && !a.defaults.group.empty())
    fail("compare", "--group and equal bits", "one of them", "equal bits choose the group");
  return with_defaults(recipes, a.defaults);
}

void warn_of_texts(const CompareJob& job) {
  tell(text_notices(job.text, job.calibration.field));
  if (job.calibration.file.empty()) return;
  tell(text_notices(job.calibration.file, job.calibration.field));
  const Overlap seen = find_file_overlap({job.calibration.file, job.calibration.field},
                                         {job.text, job.calibration.field});
  if (seen.hits > 0) fmt::print(stderr, "karat: warning: {}\n", overlap_warning(seen));
}

void run(CompareArguments& a) {
  CompareJob& job = a.job;
  job.recipes = recipes_of(a);
  job.progress = terminal_progress();
  job.announce = [&job](std::int64_t row, std::int64_t rows, const std::string& name) {
    if (row == 1) warn_of_texts(job);  // the texts are known to be good, and no work is done yet
    fmt::print(stderr, "row {} of {}: {}\n", row, rows, name);
  };
  const CompareReport found = compare(job);
  tell(found.warnings);
  fmt::print("{}", a.json ? to_json(found) : to_table(found));
}

}  // namespace

Action compare_verb(CLI::App& app) {
  app.description(kCompareHelp);
  auto arguments = std::make_shared<CompareArguments>();
  declare_recipes(app, *arguments);
  declare_texts(app, *arguments);
  declare_output(app, *arguments);
  return [arguments] { run(*arguments); };
}

}  // namespace karat
