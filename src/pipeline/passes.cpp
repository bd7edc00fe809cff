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
void write_plan(const fs::path& file, const Plan& plan, double loss) {
  std::vector<TensorView> views;
  for (const auto& [layer, indices] : plan.kept)
    views.push_back(
        {layer, DType::i64, {indices.numel()}, static_cast<const std::byte*>(indices.data_ptr())});
  AtomicFile written(file);
  write_safetensors(written.path(), views,
                    {{"loss", fmt::format("{}", loss)}, {"widths", widths_text(plan.widths)}});
  written.commit();
}

Plan read_plan(const fs::path& path, double& loss) {
  const Safetensors file = Safetensors::open(path);
  loss = std::stod(file.metadata().at("loss"));
  Plan plan{.widths = read_widths(file.metadata().at("widths"))};
  for (const TensorView& view : file.tensors()) plan.kept[view.name] = map_tensor(view).clone();
  return plan;
}

}  // namespace

Passes::Passes(const Source& model, const Assembled& recipe, const CalibrationSet& text,
               const Work& work, const ProgressFn& progress)
    : model_(model),
      recipe_(recipe),
      text_(text),
      folder_(work.path()),
      progress_(progress),
      carried_(folder_ / "carried") {}

BlockStore Passes::run() {
  const Plan plan = planned();
  BlockStore blocks(folder_ / "blocks");
  resumed_ = blocks.finished();
  quantize_blocks(model_, recipe_, text_, plan, carried_, blocks, progress_);
  Carried path(folder_ / "path");
  Carried& statistics = recipe_.metric.path.empty() ? carried_ : path;
  for (std::int64_t round = 0; recipe_.detach.ratio > 0 && round < recipe_.detach.rounds; ++round) {
    BlockStore next(folder_ / fmt::format("detached-{}", round + 1));
    if (next.finished() < model_.arch.blocks.size())
      detach_round(model_, recipe_, text_, blocks, statistics, next, progress_);
    blocks = next;
  }
  return blocks;
}

Plan Passes::planned() {
  const fs::path file = folder_ / kChosenFile;
  if (fs::exists(file)) return read_plan(file, loss_);
  Plan plan = measure_and_plan();
  write_plan(file, plan, loss_);
  return plan;
}

Plan Passes::measure_and_plan() {
  Plan plan{.kept = choose()};  // first, for its sweep shows the layers to widths_
  plan.widths = widths_.choose(recipe_.widths);
  return plan;
}

Chosen Passes::choose() {
  Chooser choose(recipe_.selector);
  if (!recipe_.selector.choose) {  // a metric may still be there for detach
    loss_ = carry_statistics().loss;
    return choose.finish();
  }
  MeasureStep step = first_step();
  step.metric = recipe_.metric;
  step.grid = recipe_.grid;
  step.selector = recipe_.selector;
  if (recipe_.metric.path.empty()) {
    loss_ = measure(model_, step, text_, std::ref(choose), progress_).loss;
    return choose.finish();
  }
  const BlockStore first = first_quantization();
  Carried gradients(folder_ / "path");
  integrate_path(model_, first, text_, recipe_.metric.path, gradients, progress_);
  const LookBack back{first, gradients};
  step = {
      .metric = recipe_.metric, .grid = recipe_.grid, .selector = recipe_.selector, .back = &back};
  measure(model_, step, text_, std::ref(choose), progress_);
  return choose.finish();
}

BlockStore Passes::first_quantization() {
  loss_ = carry_statistics().loss;
  BlockStore first(folder_ / "first");
  const Plan plan{.widths = widths_.choose(recipe_.widths)};
  quantize_blocks(model_, recipe_, text_, plan, carried_, first, progress_);
  return first;
}

Needs Passes::later() const {
  const bool detaches = recipe_.detach.ratio > 0 && recipe_.metric.path.empty();
  return detaches ? recipe_.solve_needs() | recipe_.metric.needs : recipe_.solve_needs();
}

/// Of the original weights: it carries what later sweeps want, and widths are chosen by it.
MeasureStep Passes::first_step() {
  MeasureStep step{.later = later(), .carried = &carried_};
  if (recipe_.widths.mean > 0) step.see = [this](const Layer& layer) { widths_.see(layer); };
  return step;
}

SweepResult Passes::carry_statistics() {
  return measure(model_, first_step(), text_, {}, progress_);
}

}  // namespace karat
