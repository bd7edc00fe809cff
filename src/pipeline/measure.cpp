// measure: one sweep over the model, scoring the linear layers of each block as it comes by.
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

/// ŵ − w of plain rounding to `grid`.
torch::Tensor rounding_error(const torch::Tensor& weight, const Grid& grid) {
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& slab : weight.split(grid.group_size(weight.size(1)), 1)) {
    const GridParams params = grid.fit(slab, {});
    parts.push_back(grid.decode(grid.encode(slab, params), params) - slab);
  }
  return torch::cat(parts, 1);
}

torch::Tensor score(const Metric& metric, const Grid& grid, const Layer& layer) {
  torch::Tensor scores =
      metric.score(layer, [&] { return rounding_error(layer.weight, grid); }).contiguous();
  if (!scores.isfinite().all().item<bool>())
    fail("measure " + layer.name, "NaN or infinite scores", "finite ones",
         "the model overflows on this calibration text");
  return scores;
}

}  // namespace

SweepResult measure(const Source& model, const Metric& metric, const Grid& grid,
                    const CalibrationSet& text, const ScoreVisitor& visit,
                    const ProgressFn& progress) {
  if (!metric.score) return {};
  const SweepOptions options{.needs = metric.needs, .progress = progress};
  return sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    const auto linears = model.arch.blocks[block.index].linears();
    std::vector<torch::Tensor> scores(linears.size());
    parallel_indices(static_cast<std::int64_t>(linears.size()), options.device, [&](auto i) {
      const std::string& name = linears[i]->name;
      scores[i] =
          score(metric, grid, {name, block.weights.at(name + ".weight"), block.stats_of(name)});
    });
    for (std::size_t i = 0; i < linears.size(); ++i) visit(*linears[i], scores[i]);
  });
}

}  // namespace karat
