#include "pipeline/passes.h"

#include <fmt/format.h>

#include "load/ends.h"
#include "pipeline/file_size.h"
#include "pipeline/learn.h"
#include "pipeline/measured.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// What all passes share.
struct PassContext {
  const Source& model;
  const Assembled& recipe;
  const CalibrationSet& text;
  const fs::path folder;
  const ProgressFn& progress;
  Carried carried() const { return Carried(folder / "carried"); }
  /// Of gradients along the way to a quantization.
  Carried path() const { return Carried(folder / "path"); }
  Scoring scoring() const { return {recipe.metric, recipe.grid, recipe.selector}; }
};

/// What later passes want to know of the gradients at the original weights.
Needs later_needs(const Assembled& recipe) {
  const bool detaches = recipe.detach.ratio > 0 && recipe.metric.path.empty();
  return detaches ? recipe.solve_needs() | recipe.metric.needs : recipe.solve_needs();
}

/// Of layers, and of ends where their widths are mixed too.
Observer meter_observer(const PassContext& c, SensitivityMeter& meter) {
  Observer observer{.needs = c.recipe.widths_needs(),
                    .see = [&meter](const Layer& layer) { meter.see(layer); }};
  if (!observer.needs.ends) return observer;
  observer.see_ends = [&c, &meter](const EndsFisher& fisher) {
    const Architecture& arch = c.model.arch;
    for (const std::string& end : ends_of(arch))
      meter.see_end(layer_of(end), map_tensor(c.model.files.get(end)),
                    arch.tied()             ? fisher.tied
                    : end == arch.embedding ? fisher.embedding
                                            : fisher.head);
    c.model.files.check();
  };
  return observer;
}

/// Who wants to see the original weights, whatever the selector is: later passes, and who chooses
/// widths.
std::vector<Observer> first_observers(const PassContext& c, Carried& carried,
                                      SensitivityMeter& meter) {
  std::vector<Observer> observers;
  if (Observer later = carry(later_needs(c.recipe), carried); later.needs.any())
    observers.push_back(later);
  if (const Sketch sketch = c.recipe.solve_needs().factors; sketch != Sketch::none)
    observers.push_back(carry_factors(sketch, carried));
  if (c.recipe.widths.mixed()) observers.push_back(meter_observer(c, meter));
  return observers;
}

/// Embedding and head as they will be saved, rounded unless they are already.
BlockStore ends(const PassContext& c, const LayerWidths& widths) {
  BlockStore done(c.folder / "ends");
  if (c.recipe.ends && done.finished() == 0)
    quantize_ends(c.model, *c.recipe.ends, widths, done, c.progress);
  return done;
}

/// ŵ to look back on: quantized with nothing kept.
BlockStore first_quantization(const PassContext& c, const LayerWidths& widths) {
  BlockStore first(c.folder / "first");
  quantize(c.model, c.recipe, c.text, {.widths = widths}, c.carried(), ends(c, widths), first,
           c.progress);
  return first;
}

/// measure, choose. A metric with a path looks back, so a quantization and the way to it come
/// first.
Measured measure_and_choose(const PassContext& c) {
  Carried carried = c.carried();
  SensitivityMeter meter(c.recipe, c.text.ids.defined() ? c.text.ids.size(1) : 0);
  Chooser chooser(c.recipe.selector);
  const ScoreVisitor see = [&](const std::string& layer, const Candidates& found) {
    chooser.see(layer, found);
  };
  std::vector<Observer> observers = first_observers(c, carried, meter);
  const bool chooses = static_cast<bool>(c.recipe.selector.choose);
  const bool looks_back = chooses && !c.recipe.metric.path.empty();
  if (chooses && !looks_back) observers.push_back(scores(c.scoring(), see));
  Measured found{.loss = measure(c.model, observers, c.text, c.progress)};
  found.sensitivities = meter.found();
  if (looks_back) {
    const BlockStore first = first_quantization(c, choose_widths(c.model, c.recipe, found));
    Carried path = c.path();
    integrate_path(c.model, first, c.text, c.recipe.metric.path, path, c.progress);
    measure(c.model, c.scoring(), {first, path}, c.text, see, c.progress);
  }
  found.kept = chooser.choose();
  return found;
}

/// As an interrupted run left it, if it came so far.
Measured measured(const PassContext& c) {
  const fs::path file = c.folder / kMeasuredFile;
  if (fs::exists(file)) return read_measured(file);
  const Measured found = measure_and_choose(c);
  write_measured(file, found);
  return found;
}

/// Round after round, each on the blocks that the one before left.
BlockStore detach(const PassContext& c, BlockStore blocks) {
  const Detach& detach = c.recipe.detach;
  Carried statistics = c.recipe.metric.path.empty() ? c.carried() : c.path();
  for (std::int64_t round = 0; detach.ratio > 0 && round < detach.rounds; ++round) {
    BlockStore next(c.folder / fmt::format("detached-{}", round + 1));
    if (next.finished() < c.model.arch.blocks.size())
      detach_round(c.model, c.recipe, c.text, blocks, statistics, next, c.progress);
    blocks = next;
  }
  return blocks;
}

}  // namespace

Plan make_plan(const Source& model, const Assembled& recipe, const CalibrationSet& text,
               const Work& work, const ProgressFn& progress) {
  Measured found = measured({model, recipe, text, work.path(), progress});
  LayerWidths widths = choose_widths(model, recipe, found);
  return {.kept = std::move(found.kept), .widths = std::move(widths), .loss = found.loss};
}

Passed run_passes(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                  const Work& work, const ProgressFn& progress) {
  const PassContext context{model, recipe, text, work.path(), progress};
  const Plan plan = make_plan(model, recipe, text, work, progress);
  BlockStore blocks(work.path() / "blocks");
  const std::size_t resumed = blocks.finished();
  const BlockStore rounded = ends(context, plan.widths);
  std::vector<LearnedLoss> losses;
  if (recipe.tuner.learns(true)) {
    const SolutionStore solved = solutions_of(work.path(), recipe);
    quantize(model, recipe, text, plan, context.carried(), rounded, blocks, progress, &solved);
    Learnt learnt = learn(model, recipe, text, plan, rounded, blocks, work.path(), progress);
    blocks = learnt.blocks;
    losses = std::move(learnt.losses);
  } else {
    quantize(model, recipe, text, plan, context.carried(), rounded, blocks, progress);
  }
  const FileSize file(model, recipe, plan.kept);
  return {.ends = rounded,
          .blocks = detach(context, blocks),
          .loss = plan.loss,
          .learned = std::move(losses),
          .resumed = resumed,
          .notices = budget_notices(model, recipe, file, file.bytes(plan.widths))};
}

}  // namespace karat
