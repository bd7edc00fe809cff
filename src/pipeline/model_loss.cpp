#include "pipeline/model_loss.h"

#include "model/parallel.h"
#include "recipe/basis.h"

namespace karat {
namespace {

using Tensors = std::vector<torch::Tensor>;

/// What a layer multiplies, from what stands for it in the basis that it was quantized in. Under a
/// rotation the kept weights are of the basis before it.
torch::Tensor in_own_basis(torch::Tensor weight, const Solution& solution) {
  const Basis& basis = solution.basis;
  if (basis.rotation) {
    weight = turned_back(weight, *basis.rotation);
    if (solution.kept.defined()) weight = torch::where(solution.kept, solution.weight, weight);
  }
  return basis.multiplier.defined() ? weight * basis.multiplier : weight;
}

torch::Tensor gradient_of(torch::Tensor gradient, const Solution& solution) {
  if (solution.basis.rotation && solution.kept.defined())
    gradient = gradient.masked_fill(solution.kept, 0);
  return gradient_in_basis(gradient, solution.basis);
}

/// A loss of what the last block writes.
struct OutputLoss {
  const Architecture& arch;
  Weights head = {}, original_head = {};  // the latter for a divergence, as `targets`
  Tensors targets = {};  // [1, time, hidden] of each sequence, from the original model

  torch::Tensor of(const torch::Tensor& x, const torch::Tensor& ids, std::size_t sequence) const {
    return targets.empty() ? next_token_loss(arch, head, x, ids)
                           : next_token_divergence(arch, head, x, original_head, targets[sequence]);
  }
};

}  // namespace

ModelLoss::ModelLoss(const Source& model, const CalibrationSet& text, const BlockStore& ends,
                     const BlockStore& blocks, const std::vector<SolvedLayer>& layers, TunedOn on,
                     std::function<void()> pulse)
    : model_(model),
      text_(text),
      ends_(ends),
      blocks_(blocks),
      layers_(layers),
      on_(on),
      pulse_(std::move(pulse)) {
  for (std::size_t i = 0; i < layers.size(); ++i) places_[layers[i].name] = i;
}

double ModelLoss::value(const TunedLoss::WeightsOf& weights, const Sequences& which) const {
  const CalibrationSet set = batch(which);
  return sweep(model_.arch, model_.files, set, options(set, weights, false), [](BlockVisit&) {})
      .loss;
}

double ModelLoss::gradients(const TunedLoss::WeightsOf& weights, const Sequences& which,
                            const TunedLoss::TakeGradient& take) const {
  const CalibrationSet set = batch(which);
  const auto visit = [&](BlockVisit& block) {
    const std::vector<std::size_t> places = layers_of(block.index);
    parallel_indices(static_cast<std::int64_t>(places.size()), torch::kCPU, [&](auto i) {
      const std::size_t place = places[static_cast<std::size_t>(i)];
      const SolvedLayer& layer = layers_[place];
      take(place, gradient_of(block.stats_of(layer.name).gradient, layer.solution));
    });
  };
  return sweep(model_.arch, model_.files, set, options(set, weights, true), visit).loss;
}

CalibrationSet ModelLoss::batch(const Sequences& which) const {
  CalibrationSet set;
  set.ids = text_.ids.index_select(0, torch::tensor(which));
  return set;
}

ProgressFn ModelLoss::alive() const {
  return [this](const ProgressEvent&) {
    if (pulse_) pulse_();
    return true;
  };
}

SweepOptions ModelLoss::options(const CalibrationSet& batch, const TunedLoss::WeightsOf& weights,
                                bool graph) const {
  SweepOptions options{.needs = {.gradient = graph}, .progress = alive()};
  options.edit = [this, &batch, &weights](std::size_t block, Weights& loaded) {
    edit(batch, weights, block, loaded);
  };
  OutputLoss loss{.arch = model_.arch, .head = load_head(model_.arch, model_.files)};
  if (on_ == TunedOn::divergence) {
    loss.original_head = loss.head;
    loss.targets = original_outputs(batch);
  }
  if (ends_.finished() > 0) decode_head(model_, ends_, loss.head);
  options.loss = [loss = std::move(loss), ids = batch.ids, graph](std::int64_t sequence,
                                                                  torch::Tensor& output) {
    const torch::AutoGradMode grad(graph);
    const torch::Tensor x = output.detach().requires_grad_(graph);
    const torch::Tensor value =
        loss.of(x, ids.narrow(0, sequence, 1), static_cast<std::size_t>(sequence));
    if (graph) output = torch::autograd::grad({value}, {x})[0];
    return value.item<double>();
  };
  return options;
}

void ModelLoss::edit(const CalibrationSet& batch, const TunedLoss::WeightsOf& weights,
                     std::size_t block, Weights& loaded) const {
  if (block == model_.arch.blocks.size()) {
    if (ends_.finished() > 0) decode_embedding(model_, ends_, batch.ids, loaded);
    return;
  }
  for (const auto& [name, values] : blocks_.changed(block)) loaded[name] = values;
  const std::vector<std::size_t> places = layers_of(block);
  Tensors made(places.size());
  parallel_indices(static_cast<std::int64_t>(places.size()), torch::kCPU, [&](auto i) {
    const std::size_t place = places[static_cast<std::size_t>(i)];
    made[static_cast<std::size_t>(i)] = in_own_basis(weights(place), layers_[place].solution);
  });
  for (std::size_t i = 0; i < places.size(); ++i)
    loaded[layers_[places[i]].name + ".weight"] = made[i];
}

std::vector<std::size_t> ModelLoss::layers_of(std::size_t block) const {
  std::vector<std::size_t> places;
  for (const Linear* linear : model_.arch.blocks[block].linears())
    places.push_back(places_.at(linear->name));
  return places;
}

Tensors ModelLoss::original_outputs(const CalibrationSet& batch) const {
  Tensors outputs(static_cast<std::size_t>(batch.ids.size(0)));
  SweepOptions options{.progress = alive()};
  options.loss = [&](std::int64_t sequence, torch::Tensor& output) {
    outputs[static_cast<std::size_t>(sequence)] = output;
    return 0.0;
  };
  sweep(model_.arch, model_.files, batch, options, [](BlockVisit&) {});
  return outputs;
}

}  // namespace karat
