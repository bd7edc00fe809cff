// karat measure: Scores every weight by what an error in it would cost
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <cmath>
#include <memory>

#include "cli/common.h"
#include "cli/torch/calibration.h"
#include "cli/warnings.h"
#include "karat/error.h"
#include "karat/explain.h"
#include "karat/text_notice.h"

namespace karat {
namespace {

constexpr const char* kMeasureHelp =
    R"(Scores every weight by what an error in it would cost

  karat measure models/karat-tiny --metric gradient --calib text.txt --out scores.safetensors

Writes the scores (F32, one tensor a layer, [out, in]) and prints how they are spread: the share of
the sum that the top 1 % hold, and the Gini coefficient (0: all equal, 1: one weight has it all).
The more unequal they are, the more is won by keeping few weights at FP16. `karat methods` lists the
metrics and their options.

Metric pqi looks back on a quantization of the model: plain rounding to --grid, or the Karat folder
--quantized. Its scores with their signs add up to the change of the loss, and both are printed.

  karat measure models/karat-tiny --explain --grid uniform:bits=3 --calib text.txt

--explain writes nothing. It quantizes each block alone, and all of them, and puts beside the change
of the loss what is said to predict it: Taylor's first term, the second one (the exact Hessian along
that step, as a second difference of the loss in double precision), and the path integral of
--metric. That takes a pass with gradients for every block and node: measure a large model on little
text.)";

struct MeasureArguments {
  MeasureJob job;
  std::string metric;
  std::vector<std::int64_t> intervals = ExplainJob{}.intervals;
  bool explain = false, json = false;
};

void declare(CLI::App& app, MeasureArguments& a) {
  app.add_option("model", a.job.model, "Folder or GGUF file of the original model")->required();
  auto* out = app.add_option("--out", a.job.out, "safetensors file to write");
  app.add_flag("--force", a.job.replace,
               "Replace a file that measure wrote before; discard other unfinished work");
  app.add_option("--metric", a.metric,
                 "Which score, say gradient:key=gw (default: gradient; with --explain: pqi)");
  app.add_option("--grid", a.job.grid, "Grid of a metric that needs rounding errors")
      ->capture_default_str();
  app.add_option("--quantized", a.job.quantized,
                 "A Karat folder of this model that pqi looks back on instead");
  auto* explain = app.add_flag("--explain", a.explain,
                               "What changes the loss, block by block, and what predicts it");
  explain->excludes(out);
  app.add_option("--intervals", a.intervals, "Of the rules that --explain compares")
      ->delimiter(',')
      ->capture_default_str()
      ->needs(explain);
  declare_calibration(app, a.job.calibration, std::to_string(Recipe{}.samples));
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
  if (!report.looked_back) return;
  const LookedBack& back = *report.looked_back;
  fmt::print("\n{}: loss {:.6f}, changed by {:+.6f}; signed scores add up to {:+.6f} ({:+.3f} %)\n",
             back.quantized, report.loss, back.measured, back.predicted, 100 * back.difference());
}

std::vector<std::string> change_row(const std::string& name, const LossChange& change) {
  std::vector<std::string> row = {name};
  for (const double value : {change.first, change.second, change.path, change.measured})
    row.push_back(fmt::format("{:+.3e}", value));
  return row;
}

std::string miss(double predicted, double measured) {
  return fmt::format("{:.2e}", std::abs(predicted - measured));
}

void print(const ExplainReport& report) {
  fmt::print("{}, {}: loss {:.6f}\n\n", report.model, report.quantized, report.loss);
  std::vector<std::vector<std::string>> rows = {
      {"quantized", "first order", "second order", report.metric, "measured"}};
  for (std::size_t i = 0; i < report.blocks.size(); ++i)
    rows.push_back(change_row(fmt::format("block {}", i), report.blocks[i]));
  rows.push_back(change_row("all", report.all));
  fmt::print("{}\n", format_table(rows));

  rows = {{"part of the way", "first order", "second order", "measured"}};
  for (const PartOfWay& part : report.parts)
    rows.push_back({fmt::format("{:g}", part.at), fmt::format("{:+.3e}", part.first),
                    fmt::format("{:+.3e}", part.second), fmt::format("{:+.3e}", part.measured)});
  fmt::print("{}\n", format_table(rows));

  rows = {{"intervals", "midpoint", "off by", "mean_endpoints", "off by"}};
  for (const RuleComparison& row : report.rules) {
    rows.push_back({fmt::format("{}", row.intervals), fmt::format("{:+.6f}", row.midpoint),
                    miss(row.midpoint, report.all.measured), "", ""});
    if (!row.mean_endpoints) continue;
    rows.back()[3] = fmt::format("{:+.6f}", *row.mean_endpoints);
    rows.back()[4] = miss(*row.mean_endpoints, report.all.measured);
  }
  fmt::print("{}", format_table(rows));
}

bool holds_records(const ExplainReport& report) {
  return report.calibration.records;
}
bool holds_records(const MeasureReport& report) {
  return report.calibration && report.calibration->records;
}

template <class Report>
void show(const Report& report, const CalibrationRequest& request, bool json) {
  tell(report.warnings);
  tell(text_notices(request.file, request.field, holds_records(report)));
  if (json)
    fmt::print("{}", to_json(report));
  else
    print(report);
}

void run(MeasureArguments a) {
  a.job.progress = terminal_progress();
  if (a.explain) {
    ExplainJob job{.model = a.job.model, .quantized = a.job.quantized, .grid = a.job.grid};
    if (!a.metric.empty()) job.metric = a.metric;
    job.intervals = a.intervals;
    job.calibration = a.job.calibration;
    job.progress = a.job.progress;
    return show(explain(job), job.calibration, a.json);
  }
  if (a.job.out.empty()) fail("measure", "no --out", "a file to write", "or --explain");
  if (!a.metric.empty()) a.job.metric = a.metric;
  show(measure(a.job), a.job.calibration, a.json);
}

}  // namespace

Action measure_verb(CLI::App& app) {
  app.description(kMeasureHelp);
  auto arguments = std::make_shared<MeasureArguments>();
  declare(app, *arguments);
  return [arguments] { run(*arguments); };
}

}  // namespace karat
