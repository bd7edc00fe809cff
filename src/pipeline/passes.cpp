#include "pipeline/passes.h"

#include <fmt/format.h>

#include "core/file.h"
#include "pipeline/owned.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// Flat indices by layer, and the loss, once the measuring is complete.
void write_chosen(const fs::path& file, const Chosen& chosen, double loss) {
  std::vector<TensorView> views;
  for (const auto& [layer, indices] : chosen)
    views.push_back(
        {layer, DType::i64, {indices.numel()}, static_cast<const std::byte*>(indices.data_ptr())});
  const fs::path partial = file.string() + ".partial";
  write_safetensors(partial, views, {{"loss", fmt::format("{}", loss)}});
  fs::rename(partial, file);
}

Chosen read_chosen(const fs::path& path, double& loss) {
  const Safetensors file = Safetensors::open(path);
  loss = std::stod(file.metadata().at("loss"));
  Chosen chosen;
  for (const TensorView& view : file.tensors()) chosen[view.name] = map_tensor(view).clone();
  return chosen;
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
  const Chosen kept = measured();
  BlockStore blocks(folder_ / "blocks");
  resumed_ = blocks.finished();
  quantize_blocks(model_, recipe_, text_, kept, carried_, blocks, progress_);
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

Chosen Passes::measured() {
  const fs::path file = folder_ / kChosenFile;
  if (fs::exists(file)) return read_chosen(file, loss_);
  Chosen chosen = measure_and_choose();
  write_chosen(file, chosen, loss_);
  return chosen;
}

Chosen Passes::measure_and_choose() {
  MeasureStep step{.metric = recipe_.metric, .grid = recipe_.grid, .selector = recipe_.selector};
  Chooser choose(recipe_.selector);
  if (!recipe_.selector.choose) {  // a metric may still be there for detach
    loss_ = carry_statistics().loss;
    return choose.finish();
  }
  if (recipe_.metric.path.empty()) {
    step.later = later();
    step.carried = &carried_;
    loss_ = measure(model_, step, text_, std::ref(choose), progress_).loss;
    return choose.finish();
  }
  const BlockStore first = first_quantization();
  Carried gradients(folder_ / "path");
  integrate_path(model_, first, text_, recipe_.metric.path, gradients, progress_);
  const LookBack back{first, gradients};
  step.back = &back;
  measure(model_, step, text_, std::ref(choose), progress_);
  return choose.finish();
}

BlockStore Passes::first_quantization() {
  loss_ = carry_statistics().loss;
  BlockStore first(folder_ / "first");
  quantize_blocks(model_, recipe_, text_, {}, carried_, first, progress_);
  return first;
}

Needs Passes::later() const {
  const bool detaches = recipe_.detach.ratio > 0 && recipe_.metric.path.empty();
  return detaches ? recipe_.solve_needs() | recipe_.metric.needs : recipe_.solve_needs();
}

SweepResult Passes::carry_statistics() {
  const MeasureStep step{.later = later(), .carried = &carried_};
  return measure(model_, step, text_, {}, progress_);
}

}  // namespace karat
