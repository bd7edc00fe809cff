// `karat measure`: every score of a metric written out, and how each layer's are spread.
#include <algorithm>

#include "core/output.h"
#include "karat/error.h"
#include "pipeline/former.h"
#include "pipeline/identity.h"
#include "pipeline/look_back.h"
#include "pipeline/owned.h"
#include "pipeline/passes.h"
#include "pipeline/path.h"

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

Output scores_output(const MeasureJob& job) {
  return {.path = job.out,
          .replace = job.replace,
          .inputs = {job.model, job.quantized, job.calibration.file},
          .not_former = not_scores};
}

/// What it looks back on is part of the work too.
WorkIdentity with_quantization(WorkIdentity identity, const MeasureJob& job,
                               const Assembled& recipe) {
  const std::string name = name_of_quantization(recipe, job.quantized);
  identity.push_back({.name = "quantization to look back on", .summary = name, .hash = name});
  return identity;
}

void check(const MeasureJob& job, const Assembled& recipe) {
  if (job.metric == "none") fail("measure", "metric none", "a metric that scores something");
  if (!job.quantized.empty() && recipe.metric.path.empty())
    fail("measure", "metric " + job.metric + " with a quantized folder", "one with a path",
         "only such a metric, say pqi, looks back on a quantization");
  check_output(scores_output(job), OutputKind::file);
  if (!recipe.metric.path.empty())
    Work::check(job.out, with_quantization(identity_of_recipe(recipe), job, recipe), job.replace);
}

/// The scores of a metric that looks back, and whether they add up.
void look_back(const MeasureJob& job, const Source& model, const Assembled& recipe,
               const CalibrationSet& text, const ScoreVisitor& visit, MeasureReport& report) {
  const WorkIdentity identity = identity_of_work(model, recipe, text, job.progress);
  const Work work(job.out, with_quantization(identity, job, recipe), job.replace);
  const BlockStore blocks = quantization_of(model, recipe, text, job.quantized, work, job.progress);
  Carried gradients(work.path() / "path");
  integrate_path(model, blocks, text, recipe.metric.path, gradients, job.progress);
  const LookBack back{blocks, gradients};
  measure(model, {recipe.metric, recipe.grid}, back, text, visit, {});
  const Segment segment{decoder(blocks)};
  report.loss = loss_at(model, segment, text, 0, {});
  report.looked_back = {.quantized = name_of_quantization(recipe, job.quantized),
                        .predicted = signed_total(model, segment.quantized, gradients),
                        .measured = loss_at(model, segment, text, 1, {}) - report.loss};
}

}  // namespace

MeasureReport measure(const MeasureJob& job) {
  const Assembled recipe = metric_alone(job.metric, job.grid);
  check(job, recipe);
  const Source model = load(job.model);
  std::map<std::string, OwnedTensor> found;
  const auto visit = [&](const std::string& layer, const Candidates& candidates) {
    found[layer] = to_owned(layer, candidates.worth);
  };
  const Observer scorer = scores({recipe.metric, recipe.grid}, visit);
  const bool looks_back = !recipe.metric.path.empty();
  const Needs needs = looks_back ? recipe.metric.needs | rounding(recipe).needs() : scorer.needs;
  const CalibrationSet text = calibrate(model, needs, recipe.recipe, job.calibration);
  if (looks_back) Work::check(job.out, identity_of_job(model, recipe, text), job.replace);
  check_finite(model);
  MeasureReport report{.model = model.name(), .metric = recipe.recipe.metric.text};
  if (looks_back)
    look_back(job, model, recipe, text, visit, report);
  else
    report.loss = measure(model, {scorer}, text, job.progress);
  report.warnings = model.arch.warnings;
  if (text.ids.defined()) report.calibration = text;
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : found) views.push_back(tensor.view());
  for (const Block& block : model.arch.blocks)
    for (const Linear* linear : block.linears())
      report.layers.push_back(summarize(*linear, found.at(linear->name)));
  AtomicFile file(scores_output(job));
  write_safetensors(file.path(), views, {{"metric", report.metric}});
  file.commit();
  return report;
}

}  // namespace karat
