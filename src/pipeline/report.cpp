// What quantize() and measure() found, as JSON.
#include "pipeline/report.h"

#include <sys/resource.h>

#include "karat/version.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

using nlohmann::ordered_json;

ordered_json overrides_json(const Overrides& overrides) {
  ordered_json json = ordered_json::object();
  for (const RecipeFlag& flag : recipe_flags())
    if (const std::string& text = overrides.*flag.changed; !text.empty()) json[flag.name] = text;
  return json;
}

/// Which axis values decided, in the order they did.
std::string rule(const Recipe& recipe) {
  std::string text;
  if (recipe.selector.text != "none")
    text = recipe.selector.text + " by " + recipe.metric.text + ", ";
  if (recipe.transform.text != "none") text += recipe.transform.text + ", ";
  text += recipe.grid.text + " by " + recipe.solver.text;
  return recipe.detach == "none" ? text : text + ", then detach " + recipe.detach;
}

ordered_json layer_json(const LayerReport& layer, const std::string& rule) {
  ordered_json json = {{"name", layer.name},       {"shape", {layer.out, layer.in}},
                       {"stored", layer.stored},   {"bits", layer.bits},
                       {"kept", layer.kept_share}, {"error", layer.weight_error}};
  if (layer.output_error) json["output_error"] = *layer.output_error;
  if (layer.sensitivity) json["sensitivity"] = *layer.sensitivity;
  if (layer.expected_loss) json["expected_loss"] = *layer.expected_loss;
  if (layer.few_tokens) json["few_tokens"] = *layer.few_tokens;
  json["rule"] = rule;
  json["seconds"] = layer.seconds;
  return json;
}

ordered_json looked_back_json(const std::optional<LookedBack>& back) {
  if (!back) return nullptr;
  return {{"quantized", back->quantized},
          {"predicted", back->predicted},
          {"measured", back->measured},
          {"difference", back->difference()}};
}

}  // namespace

ordered_json recipe_json(const Recipe& recipe) {
  ordered_json json = {{"method", recipe.name}, {"paper", recipe.paper}};
  for (const RecipeFlag& flag : recipe_flags())
    if (flag.text) json[flag.name] = flag.text(recipe);
  return json;
}

ordered_json calibration_json(const std::optional<CalibrationSet>& set, double loss) {
  if (!set) return nullptr;
  ordered_json json = {{"file", set->file},
                       {"sha256", set->sha256},
                       {"samples", set->ids.size(0)},
                       {"length", set->ids.size(1)},
                       {"tokens", set->ids.numel()},
                       {"text_tokens", set->text_tokens},
                       {"seed", set->options.seed},
                       {"loss", loss > 0 ? ordered_json(loss) : ordered_json(nullptr)}};
  if (set->records) json["field"] = set->options.field;
  return json;
}

std::optional<double> QuantizeReport::expected_loss() const {
  std::optional<double> sum;
  for (const auto* parts : {&layers, &ends})
    for (const LayerReport& part : *parts)
      if (part.expected_loss) sum = sum.value_or(0) + *part.expected_loss;
  return sum;
}

std::string to_json(const QuantizeReport& report) {
  ordered_json tensors = ordered_json::array();
  for (const LayerReport& layer : report.layers)
    tensors.push_back(layer_json(layer, rule(report.recipe)));
  for (const LayerReport& end : report.ends) tensors.push_back(layer_json(end, report.recipe.ends));
  ordered_json json = {{"karat", version()},
                       {"command", report.command},
                       {"model", report.model},
                       {"recipe", recipe_json(report.recipe)},
                       {"overrides", overrides_json(report.overrides)},
                       {"calibration", calibration_json(report.calibration, report.loss)},
                       {"resumed_blocks", report.resumed_blocks},
                       {"file_bytes", report.file_bytes},
                       {"file_bits_per_weight", report.file_bits},
                       {"bits_per_weight", report.layer_bits},
                       {"files", report.files},
                       {"seconds", report.seconds},
                       {"peak_bytes", report.peak_bytes}};
  if (const auto loss = report.expected_loss()) json["expected_loss"] = *loss;
  for (const LearnedLoss& learned : report.learned)
    json["learned"].push_back(
        {{"tuner", learned.tuner}, {"before", learned.before}, {"after", learned.after}});
  json["tensors"] = tensors;
  if (!report.warnings.empty()) json["warnings"] = report.warnings;
  return json.dump(2) + "\n";
}

std::string to_json(const MeasureReport& report) {
  ordered_json tensors = ordered_json::array();
  for (const ScoreSummary& layer : report.layers)
    tensors.push_back({{"name", layer.name},
                       {"shape", {layer.out, layer.in}},
                       {"mean", layer.mean},
                       {"max", layer.max},
                       {"top_1_percent_share", layer.top_share},
                       {"gini", layer.gini}});
  ordered_json json = {{"model", report.model},
                       {"metric", report.metric},
                       {"calibration", calibration_json(report.calibration, report.loss)},
                       {"looked_back", looked_back_json(report.looked_back)},
                       {"tensors", tensors}};
  if (!report.warnings.empty()) json["warnings"] = report.warnings;
  return json.dump(2) + "\n";
}

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace karat
