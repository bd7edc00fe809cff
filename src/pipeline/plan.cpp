// `karat quantize --dry-run`: what would be written, from what is measured or was.
#include <nlohmann/json.hpp>

#include "format/parts.h"
#include "karat/quantize.h"
#include "pipeline/budget.h"
#include "pipeline/file_size.h"
#include "pipeline/identity.h"
#include "pipeline/passes.h"
#include "pipeline/report.h"
#include "pipeline/task.h"

namespace karat {
namespace {

using nlohmann::ordered_json;

PlannedPart planned(const PackedPart& part, const LayerWidths& widths) {
  PlannedPart planned{
      .name = part.name, .out = part.out, .in = part.in, .stored = describe(part.layout(widths))};
  for (const TensorView& tensor : part.tensors(widths))
    planned.bytes += static_cast<std::int64_t>(tensor.bytes());
  if (const auto width = widths.find(part.name); width != widths.end())
    planned.loss = width->second.loss;
  return planned;
}

ordered_json part_json(const PlannedPart& part) {
  ordered_json json = {
      {"name", part.name},
      {"shape", {part.out, part.in}},
      {"stored", part.stored},
      {"bytes", part.bytes},
      {"bits", 8.0 * static_cast<double>(part.bytes) /
                   (static_cast<double>(part.out) * static_cast<double>(part.in))}};
  json["expected_loss"] = part.loss ? ordered_json(*part.loss) : ordered_json();
  return json;
}

}  // namespace

double QuantizePlan::file_bits() const {
  return 8 * static_cast<double>(file_bytes) / static_cast<double>(parameters);
}

double QuantizePlan::layer_bits() const {
  double bits = 0, weights = 0;
  for (const PlannedPart& layer : layers) {
    bits += 8 * static_cast<double>(layer.bytes);
    weights += static_cast<double>(layer.out) * static_cast<double>(layer.in);
  }
  return bits / weights;
}

QuantizePlan plan_quantization(const QuantizeJob& job) {
  const QuantizeTask task = open_task(job);
  const auto& [recipe, model, text] = task;
  Work work(job.out, identity_of_work(model, recipe, text, job.progress), job.replace);
  const Plan made = make_plan(model, recipe, text, work, job.progress);
  QuantizePlan plan{.model = model.name(),
                    .recipe = recipe.recipe,
                    .parameters = parameters_of(model.arch),
                    .warnings = notices(job, task)};
  const FileSize file(model, recipe, made.kept);
  for (const PackedPart& part : file.parts()) {
    (part.end ? plan.ends : plan.layers).push_back(planned(part, made.widths));
    const auto& loss = (part.end ? plan.ends : plan.layers).back().loss;
    if (loss) plan.loss = plan.loss.value_or(0) + *loss;
  }
  plan.file_bytes = file.bytes(made.widths);
  if (recipe.budget) plan.budget_bytes = recipe.budget->of(model.arch);
  for (std::string& notice : budget_notices(model, recipe, file, plan.file_bytes))
    plan.warnings.push_back(std::move(notice));
  if (!text.ids.defined()) return plan;
  plan.calibration = text;
  plan.work = work.path();
  work.keep();
  return plan;
}

std::string to_json(const QuantizePlan& plan) {
  ordered_json tensors = ordered_json::array();
  for (const auto* parts : {&plan.layers, &plan.ends})
    for (const PlannedPart& part : *parts) tensors.push_back(part_json(part));
  ordered_json json = {{"model", plan.model},
                       {"recipe", recipe_json(plan.recipe)},
                       {"calibration", calibration_json(plan.calibration, 0)},
                       {"file_bytes", plan.file_bytes},
                       {"file_bits_per_weight", plan.file_bits()},
                       {"bits_per_weight", plan.layer_bits()}};
  json["budget_bytes"] = plan.budget_bytes > 0 ? ordered_json(plan.budget_bytes) : ordered_json();
  json["expected_loss"] = plan.loss ? ordered_json(*plan.loss) : ordered_json();
  json["work"] = plan.work.empty() ? ordered_json() : ordered_json(plan.work.string());
  json["tensors"] = tensors;
  if (!plan.warnings.empty()) json["warnings"] = plan.warnings;
  return json.dump(2) + "\n";
}

}  // namespace karat
