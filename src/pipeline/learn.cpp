#include "pipeline/learn.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/output.h"
#include "karat/error.h"
#include "model/parallel.h"
#include "pipeline/model_loss.h"
#include "pipeline/owned.h"
#include "pipeline/quantized_layer.h"

namespace karat {
namespace {

namespace fs = std::filesystem;

/// A tuner's state in a file of a work folder.
class StateFile {
 public:
  explicit StateFile(fs::path file) : file_(std::move(file)) {}

  void put(const TunerState& state) const {
    std::vector<OwnedTensor> tensors;
    for (const auto& [name, values] : state.tensors) tensors.push_back(to_owned(name, values));
    std::vector<TensorView> views;
    for (const OwnedTensor& tensor : tensors) views.push_back(tensor.view());
    const nlohmann::json numbers = {
        {"step", state.step}, {"start", state.start}, {"loss", state.loss}};
    AtomicFile written(file_);
    write_safetensors(written.path(), views, {{"state", numbers.dump()}});
    written.commit();
  }
  bool fill(TunerState& state) const {
    if (!fs::exists(file_)) return false;
    const Safetensors file = Safetensors::open(file_);
    const auto numbers = nlohmann::json::parse(file.metadata().at("state"));
    state.step = numbers.at("step");
    state.start = numbers.at("start");
    state.loss = numbers.at("loss");
    const torch::NoGradGuard no_grad;
    for (auto& [name, values] : state.tensors) values.copy_(map_tensor(file.get(name)));
    file.check();
    return true;
  }

 private:
  fs::path file_;
};

/// All layers of the model as they are solved.
struct SolvedModel {
  std::vector<Safetensors> files;
  std::vector<SolvedLayer> layers;
};
SolvedModel read_solved(const Source& model, const Assembled& recipe, const LayerWidths& widths,
                        const SolutionStore& from) {
  SolvedModel solved;
  for (std::size_t i = 0; i < model.arch.blocks.size(); ++i) {
    SolvedBlock block = from.get(i, [&](const std::string& layer) -> const Grid& {
      const auto width = widths.find(layer);
      return width == widths.end() ? recipe.grid : recipe.widths.grids.at(width->second.bits);
    });
    solved.files.push_back(std::move(block.file));
    for (SolvedLayer& layer : block.layers) solved.layers.push_back(std::move(layer));
  }
  return solved;
}

/// A rotated layer's kept weights are none of its tuner's: they are of another basis.
TunedLayer as_tuned(const SolvedLayer& layer) {
  TunedLayer tuned{layer.name, layer.grid, layer.solution};
  if (layer.solution.basis.rotation) tuned.start.kept = Kept();
  return tuned;
}

class Learning {
 public:
  Learning(const Source& model, const CalibrationSet& text, const BlockStore& ends,
           const BlockStore& blocks, SolvedModel& solved, const Tuning& tuning,
           const fs::path& folder, const ProgressFn& progress)
      : tuning_(tuning),
        solved_(solved),
        file_(folder / "state.safetensors"),
        progress_("learn", tuning.steps(text.ids.size(0)), progress),
        sequences_(text.ids.size(0)),
        loss_(model, text, ends, blocks, solved.layers, tuning.on,
              [this] { progress_.step(0, detail_); }) {}

  /// Replaces the solutions by better ones.
  LearnedLoss run() {
    const torch::NoGradGuard no_grad;
    const SerialTorch serial;
    std::vector<TunedLayer> tuned;
    for (const SolvedLayer& layer : solved_.layers) tuned.push_back(as_tuned(layer));
    const std::vector<Solution> better = tuning_.tune(tuned, loss());
    for (std::size_t i = 0; i < better.size(); ++i) {
      Solution& solution = solved_.layers[i].solution;
      const Kept kept = solution.kept;
      solution = better[i];
      solution.kept = kept;
    }
    TunerState last;
    file_.fill(last);
    return {.tuner = tuning_.name, .before = last.start, .after = last.loss};
  }

 private:
  TunedLoss loss() {
    return {.sequences = sequences_,
            .seed = 0,
            .value = [this](const auto& weights,
                            const auto& which) { return loss_.value(weights, which); },
            .gradients = [this](const auto& weights, const auto& which,
                                const auto& take) { return loss_.gradients(weights, which, take); },
            .step = [this](double value) { step(value); },
            .keep = [this](const TunerState& state) { file_.put(state); },
            .resume = [this](TunerState& state) { return resume(state); }};
  }
  void step(double value) {
    detail_ = fmt::format("{}, {} {:.4g}", tuning_.name,
                          tuning_.on == TunedOn::text ? "loss" : "KL", value);
    progress_.step(1, detail_);
  }
  bool resume(TunerState& state) {
    if (!file_.fill(state)) return false;
    progress_.step(state.step);
    return true;
  }

  const Tuning& tuning_;
  SolvedModel& solved_;
  StateFile file_;
  Progress progress_;
  std::int64_t sequences_;
  std::string detail_;
  ModelLoss loss_;
};

/// What a layer is now; of its report, what is about choosing widths stays.
QuantizedLayer stored_layer(const SolvedLayer& layer, const torch::Tensor& original,
                            const LayerReport& former) {
  QuantizedLayer stored =
      quantized_layer({layer.name, layer.original.defined() ? layer.original : original},
                      layer.grid.store(layer.name, layer.solution));
  stored.report.sensitivity = former.sensitivity;
  stored.report.expected_loss = former.expected_loss;
  stored.report.seconds = former.seconds;
  return stored;
}

void put_blocks(const Source& model, const SolvedModel& solved, const BlockStore& from,
                BlockStore& to) {
  std::map<std::string, const SolvedLayer*> layers;
  for (const SolvedLayer& layer : solved.layers) layers[layer.name] = &layer;
  sweep(model.arch, model.files, {}, {.first = to.finished()}, [&](BlockVisit& visit) {
    const QuantizedBlock former = from.get(visit.index);
    std::vector<QuantizedLayer> stored(former.reports.size());
    parallel_indices(static_cast<std::int64_t>(stored.size()), torch::kCPU, [&](auto i) {
      const LayerReport& report = former.reports[static_cast<std::size_t>(i)];
      stored[static_cast<std::size_t>(i)] =
          stored_layer(*layers.at(report.name), visit.weights.at(report.name + ".weight"), report);
    });
    to.put(visit.index, stored, from.changed(visit.index));
  });
  for (const Safetensors& file : solved.files) file.check();
}

}  // namespace

SolutionStore solutions_of(const fs::path& work, const Assembled& recipe) {
  const bool weights = std::ranges::any_of(recipe.tuner.in_turn, [](const Tuning& tuning) {
    return tuning.on != TunedOn::block && tuning.weights;
  });
  return {work / "solved", weights};
}

Learnt learn(const Source& model, const Assembled& recipe, const CalibrationSet& text,
             const Plan& plan, const BlockStore& ends, const BlockStore& blocks,
             const fs::path& work, const ProgressFn& progress) {
  SolvedModel solved = read_solved(model, recipe, plan.widths, solutions_of(work, recipe));
  Learnt learnt{.blocks = blocks};
  std::size_t number = 0;
  for (const Tuning& tuning : recipe.tuner.in_turn) {
    if (tuning.on == TunedOn::block) continue;
    BlockStore to(work / fmt::format("learned-{}", ++number));
    learnt.losses.push_back(
        Learning(model, text, ends, learnt.blocks, solved, tuning, to.folder(), progress).run());
    put_blocks(model, solved, learnt.blocks, to);
    learnt.blocks = to;
  }
  return learnt;
}

}  // namespace karat
