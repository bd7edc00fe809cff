// measure: one sweep over the model, scoring the linear layers of each block as it comes by.
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/steps.h"
#include "recipe/slab.h"

namespace karat {
namespace {

/// ŵ − w of plain rounding to `grid`.
torch::Tensor rounding_error(const Layer& layer, const Grid& grid) {
  const Slabs slabs(layer, {}, grid);
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < layer.weight.size(1); begin += slabs.width()) {
    const Slab slab = slabs.cut(layer.weight, begin);
    const GridParams params = grid.fit(slab);
    parts.push_back(grid.decode(grid.encode(slab.weight, params), params) - slab.weight);
  }
  return torch::cat(parts, 1);
}

torch::Tensor finite(torch::Tensor scores, const std::string& layer) {
  if (!scores.isfinite().all().item<bool>())
    fail("measure " + layer, "NaN or infinite scores", "finite ones",
         "the model overflows on this calibration text");
  return scores;
}

/// `decoded` are the block's weights as quantized, when the metric looks back.
Candidates score(const MeasureStep& step, const Layer& layer, const Weights& decoded) {
  const auto error = [&] {
    return step.back ? decoded.at(layer.name + ".weight") - layer.weight
                     : rounding_error(layer, step.grid);
  };
  const torch::Tensor scores = finite(step.metric.score(layer, error).contiguous(), layer.name);
  const double mean = scores.mean(torch::kFloat64).item<double>();
  if (!step.selector.worth) return {scores, mean};
  return {finite(step.selector.worth(layer, scores, step.grid), layer.name), mean};
}

/// What later sweeps will ask for and only this one can find.
Needs carried_needs(const MeasureStep& step) {
  if (!step.carried) return {};
  return {.gradient = step.later.gradient,
          .fisher = step.later.fisher,
          .token_weights = step.later.token_weights || step.later.guided};
}
bool carries(const MeasureStep& step) {
  return carried_needs(step).any();
}
void carry(const MeasureStep& step, const Layer& layer) {
  const Needs needs = carried_needs(step);
  if (needs.gradient) step.carried->put(layer.name, "gradient", layer.stats.gradient);
  if (needs.fisher) step.carried->put(layer.name, "fisher", layer.stats.fisher);
  if (needs.token_weights)
    step.carried->put(layer.name, "token_weights", layer.stats.token_weights);
}

/// What was carried here, of what the metric asks for.
void fetch(const MeasureStep& step, Layer& layer) {
  const Needs& needs = step.metric.needs;
  const Carried& from = step.back->statistics;
  if (needs.gradient) layer.stats.gradient = from.get(layer.name, "gradient");
  if (needs.fisher) layer.stats.fisher = from.get(layer.name, "fisher");
  if (needs.token_weights) layer.stats.token_weights = from.get(layer.name, "token_weights");
}

}  // namespace

Needs MeasureStep::needs() const {
  Needs needs = metric.needs;
  if (back) needs.gradient = needs.fisher = needs.token_weights = false;
  if (metric.error && !back) needs = needs | grid.needs;
  if (see) needs.fisher = true;
  return needs | carried_needs(*this);
}

SweepResult measure(const Source& model, const MeasureStep& step, const CalibrationSet& text,
                    const ScoreVisitor& visit, const ProgressFn& progress) {
  const bool scores_wanted = static_cast<bool>(step.metric.score);
  if (!scores_wanted && !carries(step) && !step.see) return {};
  SweepOptions options{.needs = step.needs(), .progress = progress};
  if (step.back)
    options.token_weights = [&](const std::string& layer) {
      return step.back->statistics.get(layer, "token_weights");
    };
  return sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    std::vector<Candidates> scores(linears.size());
    Weights decoded = block.weights;
    if (step.back) step.back->blocks.decode(block.index, decoded);
    parallel_indices(static_cast<std::int64_t>(linears.size()), options.device, [&](auto i) {
      const std::string& name = linears[i]->name;
      Layer layer{name, block.weights.at(name + ".weight"), block.stats_of(name)};
      if (step.back) fetch(step, layer);
      if (carries(step)) carry(step, layer);
      if (step.see) step.see(layer);
      if (scores_wanted) scores[i] = score(step, layer, decoded);
    });
    for (std::size_t i = 0; scores_wanted && i < linears.size(); ++i) visit(*linears[i], scores[i]);
  });
}

}  // namespace karat
