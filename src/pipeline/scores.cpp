// `karat measure`: every score of a metric written out, and how each layer's are spread.
#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "karat/error.h"
#include "pipeline/owned.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

/// Scores are not negative. Gini of sorted x₁ ≤ … ≤ xₙ: Σ (2i − n − 1) xᵢ / (n Σ xᵢ).
ScoreSummary summarize(const Linear& layer, const OwnedTensor& scores) {
  std::vector<float> sorted = to_floats(scores.view());
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<double>(sorted.size());
  const std::size_t top = sorted.size() - sorted.size() / 100;
  double sum = 0, top_sum = 0, weighted = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    sum += sorted[i];
    weighted += (2.0 * static_cast<double>(i + 1) - count - 1) * sorted[i];
    if (i >= top) top_sum += sorted[i];
  }
  return {.name = layer.name,
          .out = layer.out,
          .in = layer.in,
          .mean = sum / count,
          .max = sorted.back(),
          .top_share = sum > 0 ? top_sum / sum : 0,
          .gini = sum > 0 ? weighted / (count * sum) : 0};
}

Assembled metric_alone(const MeasureJob& job) {
  Recipe recipe{.metric = {job.metric}, .selector = {"top"}, .grid = {job.grid}};
  if (job.metric == "none") fail("measure", "metric none", "a metric that scores something");
  return assemble(recipe);
}

}  // namespace

MeasureReport measure(const MeasureJob& job) {
  namespace fs = std::filesystem;
  const Assembled recipe = metric_alone(job);
  if (fs::exists(job.out) && !job.replace)
    fail("measure " + job.out.string(), "a file that exists", "a new one", "use --force");
  const Source model = load(job.model);
  const MeasureStep step{.metric = recipe.metric, .grid = recipe.grid};
  const CalibrationSet text = calibrate(model, step.needs(), 1, job.calibration);
  MeasureReport report{.model = model.name(), .metric = recipe.recipe.metric.text};
  std::map<std::string, OwnedTensor> scores;
  std::map<std::string, ScoreSummary> summaries;
  const auto visit = [&](const Linear& layer, const torch::Tensor& found) {
    OwnedTensor& kept = scores[layer.name] = to_owned(layer.name, found);
    summaries[layer.name] = summarize(layer, kept);
  };
  report.loss = measure(model, step, text, visit, job.progress).loss;
  if (text.ids.defined()) report.calibration = text;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : scores) views.push_back(tensor.view());
  for (const Block& block : model.arch.blocks)
    for (const Linear* linear : block.linears()) report.layers.push_back(summaries[linear->name]);
  write_safetensors(job.out, views, {{"metric", report.metric}});
  return report;
}

}  // namespace karat
