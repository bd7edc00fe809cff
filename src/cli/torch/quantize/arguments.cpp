#include "cli/torch/quantize/arguments.h"

#include <fmt/format.h>

#include <CLI/Option.hpp>

#include "cli/torch/calibration.h"
#include "cli/warnings.h"

namespace karat {
namespace {

void print_recipe(const Recipe& recipe, bool changed,
                  const std::optional<CalibrationSet>& calibration) {
  fmt::print("method    {} ({})\n", recipe.name, recipe.paper);
  fmt::print("recipe    {}{}\n", axes_text(recipe), changed ? "  (changed)" : "");
  if (calibration)
    fmt::print("text      {}: {} tokens, seed {}\n", calibration->file, calibration->ids.numel(),
               calibration->options.seed);
  else
    fmt::print("text      none: nothing in this recipe reads one\n");
}

void print_file(std::int64_t bytes, double bits, std::int64_t budget) {
  const auto size = static_cast<double>(bytes);
  const std::string of = budget > 0 ? fmt::format(", {:.2f} % of what was asked",
                                                  100 * size / static_cast<double>(budget))
                                    : "";
  fmt::print("file      {:.3f} MB ({:.2f} MiB), {:.3f} bits a parameter{}\n", size * 1e-6,
             size / (1 << 20), bits, of);
}

void print_loss(const std::optional<double>& loss) {
  if (loss)
    fmt::print(
        "expected  {:.5f} nats a token: ½ Σ F Δ² of plain rounding, before any compensation\n",
        *loss);
}

void print(const QuantizeJob& job, const QuantizeReport& report) {
  print_recipe(report.recipe, !(report.overrides == Overrides{}), report.calibration);
  for (const LearnedLoss& learned : report.learned)
    fmt::print("learned   {}: from {:.4g} to {:.4g} on what judges\n", learned.tuner,
               learned.before, learned.after);
  if (report.resumed_blocks > 0)
    fmt::print("resumed   after {} blocks that an interrupted run had finished\n",
               report.resumed_blocks);
  double error = 0, kept = 0;
  for (const LayerReport& layer : report.layers) {
    error += layer.weight_error / static_cast<double>(report.layers.size());
    kept += layer.kept_share / static_cast<double>(report.layers.size());
  }
  print_file(report.file_bytes, report.file_bits, 0);
  fmt::print("layers    {:.3f} bits a weight, {:.2f} % kept, mean relative error {:.5f}\n",
             report.layer_bits, 100 * kept, error);
  for (const LayerReport& end : report.ends)
    fmt::print("{:<9} {:.3f} bits a weight, relative error {:.5f}\n",
               report.ends.size() == 1   ? "ends"
               : &end == &report.ends[0] ? "embedding"
                                         : "head",
               end.bits, end.weight_error);
  print_loss(report.expected_loss());
  fmt::print("took      {:.1f} s, {:.2f} GiB at most\n", report.seconds,
             static_cast<double>(report.peak_bytes) / (1 << 30));
  fmt::print("written   {}\n", job.out.string());
}

std::vector<std::string> row(const PlannedPart& part) {
  const double weights = static_cast<double>(part.out) * static_cast<double>(part.in);
  return {part.name,
          fmt::format("[{}, {}]", part.out, part.in),
          part.stored,
          fmt::format("{:.3f}", 8 * static_cast<double>(part.bytes) / weights),
          fmt::format("{:.1f}", static_cast<double>(part.bytes) / 1024),
          part.loss ? fmt::format("{:.6f}", *part.loss) : ""};
}

void print(const QuantizeJob& job, const QuantizePlan& plan) {
  print_recipe(plan.recipe, !(job.overrides == Overrides{}), plan.calibration);
  std::vector<std::vector<std::string>> rows{
      {"part", "shape", "stored", "bits/weight", "KiB", "expected loss"}};
  for (const PlannedPart& layer : plan.layers) rows.push_back(row(layer));
  for (const PlannedPart& end : plan.ends) rows.push_back(row(end));
  fmt::print("\n{}\n", format_table(rows));
  print_file(plan.file_bytes, plan.file_bits(), plan.budget_bytes);
  fmt::print("layers    {:.3f} bits a weight\n", plan.layer_bits());
  print_loss(plan.loss);
  if (!plan.work.empty())
    fmt::print("measured  {} keeps it; without --dry-run the same command goes on from there\n",
               plan.work.string());
}

/// What a job came to, as a table or as JSON.
void show(const QuantizeArguments& a, const auto& result) {
  tell(result.warnings);
  if (a.json)
    fmt::print("{}", to_json(result));
  else
    print(a.job, result);
}

}  // namespace

void declare_quantize(CLI::App& app, QuantizeArguments& a) {
  QuantizeJob& job = a.job;
  app.add_option("model", job.model, "Folder or GGUF file of the original model")->required();
  app.add_option("--out", job.out, "Folder to write")->required();
  app.add_flag(
      "--force", job.replace,
      "Replace a folder that quantize wrote before; discard another command's unfinished work");
  app.add_option("--method", job.method, "See `karat methods`")->capture_default_str();
  for (const RecipeFlag& flag : recipe_flags())
    app.add_option(fmt::format("--{}", flag.name), job.overrides.*flag.changed,
                   std::string(flag.help));
  declare_calibration(app, job.calibration, "the method's");
  app.add_flag("--dry-run", a.dry_run,
               "Print what each part would get, and the size; write no OUT");
  app.add_flag("--json", a.json, "Print the report as JSON");
}

void run_quantize(QuantizeArguments& arguments) {
  arguments.job.command = command_line();
  arguments.job.progress = terminal_progress();
  if (arguments.dry_run)
    show(arguments, plan_quantization(arguments.job));
  else
    show(arguments, quantize(arguments.job));
}

}  // namespace karat
