// measure: one sweep over the model, whose linear layers are scored block by block as it comes by.
#include <functional>
#include <memory>
#include <mutex>

#include "core/finite.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/rounding.h"
#include "pipeline/steps.h"

namespace karat {
namespace {

torch::Tensor finite(torch::Tensor scores, const std::string& layer) {
  if (!all_finite(scores))
    fail("measure " + layer, "NaN or infinite scores", "finite ones",
         "the model overflows on this calibration text");
  return scores;
}

/// `error` is ŵ − w of what the metric asks about.
Candidates score(const Scoring& by, const Layer& layer,
                 const std::function<torch::Tensor()>& error) {
  const torch::Tensor scores = finite(by.metric.score(layer, error).contiguous(), layer.name);
  const double mean = scores.mean(torch::kFloat64).item<double>();
  if (!by.selector.worth) return {scores, mean};
  return {finite(by.selector.worth(layer, scores, by.grid), layer.name), mean};
}

/// What was carried, of what the metric asks for.
void fetch(const Needs& needs, const Carried& from, Layer& layer) {
  if (needs.gradient) layer.stats.gradient = from.get(layer.name, "gradient");
  if (needs.fisher) layer.stats.fisher = from.get(layer.name, "fisher");
  if (needs.token_weights) layer.stats.token_weights = from.get(layer.name, "token_weights");
}

/// Shows every linear layer of the block to `see`, several at once.
void show(const Source& model, const BlockVisit& block, torch::Device device,
          const std::function<void(Layer& layer)>& see) {
  const auto linears = model.arch.blocks[block.index].linears();
  parallel_indices(static_cast<std::int64_t>(linears.size()), device, [&](auto i) {
    const std::string& name = linears[static_cast<std::size_t>(i)]->name;
    Layer layer{name, block.weights.at(name + ".weight"), block.stats_of(name)};
    see(layer);
  });
}

/// All of them in one sweep.
double sweep_for(const Source& model, const std::vector<Observer>& observers,
                 const CalibrationSet& text, const ProgressFn& progress) {
  if (observers.empty()) return 0;
  SweepOptions options{.progress = progress};
  for (const Observer& observer : observers) options.needs = options.needs | observer.needs;
  const auto visit = [&](BlockVisit& block) {
    show(model, block, options.device, [&](const Layer& layer) {
      for (const Observer& observer : observers)
        if (observer.see) observer.see(layer);
    });
  };
  const SweepResult result = sweep(model.arch, model.files, text, options, visit);
  for (const Observer& observer : observers)
    if (observer.see_ends) observer.see_ends(result.ends);
  return result.loss;
}

}  // namespace

double measure(const Source& model, const std::vector<Observer>& observers,
               const CalibrationSet& text, const ProgressFn& progress) {
  std::vector<Observer> of_text, of_drawn_labels;
  for (const Observer& observer : observers)
    (observer.needs.factors == Sketch::none ? of_text : of_drawn_labels).push_back(observer);
  const double loss = sweep_for(model, of_text, text, progress);
  const double same = sweep_for(model, of_drawn_labels, text, progress);
  return of_text.empty() ? same : loss;
}

Observer scores(const Scoring& by, const ScoreVisitor& visit) {
  Observer observer{.needs = by.metric.needs};
  if (by.metric.error) observer.needs = observer.needs | by.grid.needs;
  observer.see = [by, visit, mutex = std::make_shared<std::mutex>()](const Layer& layer) {
    const Candidates found = score(by, layer, [&] { return rounding_error(layer, by.grid); });
    const std::scoped_lock lock(*mutex);
    visit(layer.name, found);
  };
  return observer;
}

Observer carry(const Needs& needs, Carried& into) {
  const Needs carried{.gradient = needs.gradient,
                      .fisher = needs.fisher,
                      .token_weights = needs.token_weights || needs.guided};
  return {.needs = carried, .see = [carried, &into](const Layer& layer) {
            if (carried.gradient) into.put(layer.name, "gradient", layer.stats.gradient);
            if (carried.fisher) into.put(layer.name, "fisher", layer.stats.fisher);
            if (carried.token_weights)
              into.put(layer.name, "token_weights", layer.stats.token_weights);
          }};
}

Observer carry_factors(Sketch sketch, Carried& into) {
  return {.needs = {.factors = sketch}, .see = [&into](const Layer& layer) {
            into.put(layer.name, "input_factor", layer.stats.input_factor);
            into.put(layer.name, "output_factor", layer.stats.output_factor);
          }};
}

void measure(const Source& model, const Scoring& by, const LookBack& back,
             const CalibrationSet& text, const ScoreVisitor& visit, const ProgressFn& progress) {
  SweepOptions options{.needs = by.metric.needs.forward(), .progress = progress};
  options.token_weights = [&](const std::string& layer) {
    return back.statistics.get(layer, "token_weights");
  };
  std::mutex mutex;
  sweep(model.arch, model.files, text, options, [&](BlockVisit& block) {
    Weights decoded = block.weights;
    back.blocks.decode(block.index, decoded);
    show(model, block, options.device, [&](Layer& layer) {
      fetch(by.metric.needs, back.statistics, layer);
      const Candidates found =
          score(by, layer, [&] { return decoded.at(layer.name + ".weight") - layer.weight; });
      const std::scoped_lock lock(mutex);
      visit(layer.name, found);
    });
  });
}

}  // namespace karat
