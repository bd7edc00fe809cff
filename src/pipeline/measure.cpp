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

torch::Tensor score(const MeasureStep& step, const Layer& layer) {
  const auto error = [&] { return rounding_error(layer, step.grid); };
  torch::Tensor scores = finite(step.metric.score(layer, error).contiguous(), layer.name);
  if (!step.selector.worth) return scores;
  return finite(step.selector.worth(layer, scores, step.grid), layer.name);
}

bool carries(const MeasureStep& step) {
  return step.carried != nullptr && step.grid.needs.fisher;
}

}  // namespace

Needs MeasureStep::needs() const {
  Needs needs = metric.needs;
  if (metric.error) needs = needs | grid.needs;
  if (carries(*this)) needs.fisher = true;
  return needs;
}

SweepResult measure(const Source& model, const MeasureStep& step, const CalibrationSet& text,
                    const ScoreVisitor& visit, const ProgressFn& progress) {
  const bool scores_wanted = static_cast<bool>(step.metric.score);
  if (!scores_wanted && !carries(step)) return {};
  const SweepOptions options{.needs = step.needs(), .progress = progress};
  return sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    std::vector<torch::Tensor> scores(linears.size());
    parallel_indices(static_cast<std::int64_t>(linears.size()), options.device, [&](auto i) {
      const std::string& name = linears[i]->name;
      const Layer layer{name, block.weights.at(name + ".weight"), block.stats_of(name)};
      if (carries(step)) step.carried->put(name, layer.stats.fisher);
      if (scores_wanted) scores[i] = score(step, layer);
    });
    for (std::size_t i = 0; scores_wanted && i < linears.size(); ++i) visit(*linears[i], scores[i]);
  });
}

}  // namespace karat
