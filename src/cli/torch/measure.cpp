// karat measure: score every weight by what an error in it would cost
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <memory>

#include "cli/common.h"
#include "cli/torch/calibration.h"
#include "karat/quantize.h"

namespace karat {
namespace {

constexpr const char* kHelp =
    R"(Score every weight of the linear layers by what an error in it would cost.

  karat measure models/karat-tiny --metric gradient --calib text.txt --out scores.safetensors

Writes the scores (F32, one tensor a layer, [out, in]) and prints how they are spread: the share of
the sum that the top 1 % hold, and the Gini coefficient (0: all equal, 1: one weight has it all). The
more unequal they are, the more is won by keeping few weights at FP16. `karat methods` lists the
metrics and their options.)";

struct MeasureArguments {
  MeasureJob job;
  bool json = false;
};

void declare(CLI::App& app, MeasureArguments& a) {
  app.add_option("model", a.job.model, "Folder of the original model")->required();
  app.add_option("--out", a.job.out, "safetensors file to write")->required();
  app.add_flag("--force", a.job.replace, "Replace an existing file");
  app.add_option("--metric", a.job.metric, "Which score, say gradient:key=gw")
      ->capture_default_str();
  app.add_option("--grid", a.job.grid, "Grid of a metric that asks for rounding errors")
      ->capture_default_str();
  declare_calibration(app, a.job.calibration);
  app.add_flag("--json", a.json, "Print the summary as JSON");
}

void print(const MeasureReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {report.metric, "shape", "mean", "max", "top 1 %", "gini"}};
  for (const ScoreSummary& layer : report.layers)
    rows.push_back({layer.name, fmt::format("{}x{}", layer.out, layer.in),
                    fmt::format("{:.3e}", layer.mean), fmt::format("{:.3e}", layer.max),
                    fmt::format("{:.1f} %", 100 * layer.top_share),
                    fmt::format("{:.3f}", layer.gini)});
  fmt::print("{}", format_table(rows));
}

}  // namespace

Action measure_verb(CLI::App& app) {
  app.description(kHelp);
  auto arguments = std::make_shared<MeasureArguments>();
  declare(app, *arguments);
  return [arguments] {
    arguments->job.progress = terminal_progress();
    const MeasureReport report = measure(arguments->job);
    if (arguments->json)
      fmt::print("{}", to_json(report));
    else
      print(report);
  };
}

}  // namespace karat
