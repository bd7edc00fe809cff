#include "pipeline/passes.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/output.h"
#include "pipeline/owned.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

std::string widths_text(const LayerWidths& widths) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [layer, width] : widths) json[layer] = {width.bits, width.sensitivity};
  return json.dump();
}

LayerWidths read_widths(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  LayerWidths widths;
  for (const auto& [layer, width] : json.items())
    widths[layer] = {width.at(0).get<int>(), width.at(1).get<double>()};
  return widths;
}

/// Flat indices by layer; widths and the loss beside them: once the measuring is complete.
void write_plan(const fs::path& file, const Plan& plan) {
  std::vector<TensorView> views;
  for (const auto& [layer, indices] : plan.kept)
    views.push_back(
        {layer, DType::i64, {indices.numel()}, static_cast<const std::byte*>(indices.data_ptr())});
  AtomicFile written(file);
  write_safetensors(written.path(), views,
                    {{"loss", fmt::format("{}", plan.loss)}, {"widths", widths_text(plan.widths)}});
  written.commit();
}

Plan read_plan(const fs::path& path) {
  const Safetensors file = Safetensors::open(path);
  Plan plan{.widths = read_widths(file.metadata().at("widths")),
            .loss = std::stod(file.metadata().at("loss"))};
  for (const TensorView& view : file.tensors()) plan.kept[view.name] = map_tensor(view).clone();
  file.check();
  return plan;
}

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

/// Who wants to see the original weights, whatever the selector is: later passes, and who chooses
/// widths.
std::vector<Observer> first_observers(const Assembled& recipe, Carried& carried,
                                      WidthChooser& widths) {
  std::vector<Observer> observers;
  if (Observer later = carry(later_needs(recipe), carried); later.needs.any())
    observers.push_back(later);
  if (recipe.widths.mean > 0)
    observers.push_back(
        {.needs = {.fisher = true}, .see = [&widths](const Layer& layer) { widths.see(layer); }});
  return observers;
}

/// Embedding and head as they will be saved, rounded unless they are already.
BlockStore ends(const PassContext& c) {
  BlockStore done(c.folder / "ends");
  if (c.recipe.ends && done.finished() == 0)
    quantize_ends(c.model, *c.recipe.ends, done, c.progress);
  return done;
}

/// ŵ to look back on: quantized with nothing kept.
BlockStore first_quantization(const PassContext& c, const LayerWidths& widths) {
  BlockStore first(c.folder / "first");
  quantize(c.model, c.recipe, c.text, {.widths = widths}, c.carried(), ends(c), first, c.progress);
  return first;
}

/// measure, choose. A metric with a path looks back, so a quantization and the way to it come
/// first.
Plan measure_and_choose(const PassContext& c) {
  Carried carried = c.carried();
  WidthChooser widths;
  Chooser chooser(c.recipe.selector);
  const ScoreVisitor see = [&](const std::string& layer, const Candidates& found) {
    chooser.see(layer, found);
  };
  std::vector<Observer> observers = first_observers(c.recipe, carried, widths);
  const bool chooses = static_cast<bool>(c.recipe.selector.choose);
  const bool looks_back = chooses && !c.recipe.metric.path.empty();
  if (chooses && !looks_back) observers.push_back(scores(c.scoring(), see));
  Plan plan{.loss = measure(c.model, observers, c.text, c.progress)};
  plan.widths = widths.choose(c.recipe.widths);
  if (looks_back) {
    const BlockStore first = first_quantization(c, plan.widths);
    Carried path = c.path();
    integrate_path(c.model, first, c.text, c.recipe.metric.path, path, c.progress);
    measure(c.model, c.scoring(), {first, path}, c.text, see, c.progress);
  }
  plan.kept = chooser.choose();
  return plan;
}

/// As an interrupted run left it, if it came so far.
Plan plan_of(const PassContext& c) {
  const fs::path file = c.folder / kChosenFile;
  if (fs::exists(file)) return read_plan(file);
  const Plan plan = measure_and_choose(c);
  write_plan(file, plan);
  return plan;
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

Passed run_passes(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                  const Work& work, const ProgressFn& progress) {
  const PassContext context{model, recipe, text, work.path(), progress};
  const Plan plan = plan_of(context);
  BlockStore blocks(work.path() / "blocks");
  const std::size_t resumed = blocks.finished();
  const BlockStore rounded = ends(context);
  quantize(model, recipe, text, plan, context.carried(), rounded, blocks, progress);
  return {.ends = rounded,
          .blocks = detach(context, blocks),
          .loss = plan.loss,
          .resumed = resumed};
}

}  // namespace karat
