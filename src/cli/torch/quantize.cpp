// karat quantize: Makes a model smaller: rounds weights to few bits, more where errors cost more
#include "karat/quantize.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>

#include "cli/common.h"
#include "cli/torch/calibration.h"
#include "cli/warnings.h"

namespace karat {
namespace {

constexpr const char* kQuantizeHelp =
    R"(Makes a model smaller: rounds weights to few bits, more where errors cost more

  karat quantize models/karat-tiny --calib text.txt --out small
  karat quantize models/karat-tiny --method gptq --bits 4 --group 64 --calib text.txt --out small

The default method gives every layer codes of its own width and keeps no weight at FP16; methods
with a selector or a detach step keep some. A method is one value on each of a few axes, --metric to
--solver below; `karat methods` lists both. Any axis can be replaced, so methods that no paper has
are one flag away:

  karat quantize models/karat-tiny --method gwq --grid nf4 --solver gptq --calib text.txt --out new

--bits 3.4 is a mean: every layer gets codes of 2 to 4 bits (trellis, uniform: to 5), wider ones
where an error costs more. The method karat does so with whole --bits too.

--ends 8 rounds the embedding and the head as well, which else stay as they are.

The output folder holds config.json, the packed weights, the tokenizer and karat_report.json. Its
bytes, times aside, depend on the model, the text, the recipe and the seed alone. Finished blocks
are kept in OUT.work until all is done: when the work is interrupted, the same command continues
after them, and another is refused unless --force discards them.)";

struct QuantizeArguments {
  QuantizeJob job;
  bool json = false;
};

void declare(CLI::App& app, QuantizeArguments& a) {
  QuantizeJob& job = a.job;
  app.add_option("model", job.model, "Folder of the original model")->required();
  app.add_option("--out", job.out, "Folder to write")->required();
  app.add_flag(
      "--force", job.replace,
      "Replace a folder that quantize wrote before; discard another command's unfinished work");
  app.add_option("--method", job.method, "See `karat methods`")->capture_default_str();
  for (const RecipeFlag& flag : recipe_flags())
    app.add_option(fmt::format("--{}", flag.name), job.overrides.*flag.changed,
                   std::string(flag.help));
  declare_calibration(app, job.calibration, "the method's");
  app.add_flag("--json", a.json, "Print the report as JSON");
}

void print(const QuantizeJob& job, const QuantizeReport& report) {
  const Recipe& recipe = report.recipe;
  fmt::print("method    {} ({})\n", recipe.name, recipe.paper);
  const bool changed = !(report.overrides == Overrides{});
  fmt::print("recipe    {}{}\n", axes_text(recipe), changed ? "  (changed)" : "");
  if (report.calibration)
    fmt::print("text      {}: {} tokens, seed {}\n", report.calibration->file,
               report.calibration->ids.numel(), report.calibration->options.seed);
  else
    fmt::print("text      none: nothing in this recipe reads one\n");
  if (report.resumed_blocks > 0)
    fmt::print("resumed   after {} blocks that an interrupted run had finished\n",
               report.resumed_blocks);
  double error = 0, kept = 0;
  for (const LayerReport& layer : report.layers) {
    error += layer.weight_error / static_cast<double>(report.layers.size());
    kept += layer.kept_share / static_cast<double>(report.layers.size());
  }
  fmt::print("layers    {:.3f} bits a weight, {:.2f} % kept, mean relative error {:.5f}\n",
             report.layer_bits, 100 * kept, error);
  for (const LayerReport& end : report.ends)
    fmt::print("{:<9} {:.3f} bits a weight, relative error {:.5f}\n",
               report.ends.size() == 1   ? "ends"
               : &end == &report.ends[0] ? "embedding"
                                         : "head",
               end.bits, end.weight_error);
  fmt::print("file      {:.3f} bits a weight, {:.1f} MiB\n", report.file_bits,
             static_cast<double>(report.file_bytes) / (1 << 20));
  fmt::print("took      {:.1f} s, {:.2f} GiB at most\n", report.seconds,
             static_cast<double>(report.peak_bytes) / (1 << 30));
  fmt::print("written   {}\n", job.out.string());
}

}  // namespace

Action quantize_verb(CLI::App& app) {
  app.description(kQuantizeHelp);
  auto arguments = std::make_shared<QuantizeArguments>();
  declare(app, *arguments);
  return [arguments] {
    arguments->job.command = command_line();
    arguments->job.progress = terminal_progress();
    const QuantizeReport report = quantize(arguments->job);
    tell(report.warnings);
    if (arguments->json)
      fmt::print("{}", to_json(report));
    else
      print(arguments->job, report);
  };
}

}  // namespace karat
