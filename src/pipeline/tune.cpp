#include "pipeline/tune.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/threads.h"
#include "model/experts.h"

namespace karat {
namespace {

using Tensors = std::vector<torch::Tensor>;
using Sequences = std::vector<std::int64_t>;

/// Of one sequence.
struct Part {
  double loss = 0;
  Tensors gradients = {};
};

/// The loss of a block, with weights [out, in] of its layers each in the basis it is tuned in.
class BlockOutputs {
 public:
  BlockOutputs(const Architecture& arch, const BlockVisit& block,
               const std::vector<SolvedLayer>& layers)
      : arch_(arch), block_(block), layers_(layers) {}

  double value(const TunedLoss::WeightsOf& weights, const Sequences& which) const {
    double sum = 0;
    for_each_sequence(asked(weights, false), which, false, [&](Part part) { sum += part.loss; });
    return sum / static_cast<double>(which.size());
  }
  double gradients(const TunedLoss::WeightsOf& weights, const Sequences& which,
                   const TunedLoss::TakeGradient& take) const {
    const double share = 1 / static_cast<double>(which.size());
    double sum = 0;
    Tensors gradients;
    for_each_sequence(asked(weights, true), which, true, [&](Part part) {
      sum += part.loss;
      if (gradients.empty())
        gradients = std::move(part.gradients);
      else
        add(gradients, part.gradients);
    });
    for_each_layer([&](std::size_t i) {
      const torch::NoGradGuard no_grad;
      take(i, gradients[i].mul_(share));
    });
    return sum * share;
  }

 private:
  void for_each_layer(const std::function<void(std::size_t)>& body) const {
    parallel_for(static_cast<std::int64_t>(layers_.size()), 1, [&](auto begin, auto end) {
      for (auto i = begin; i < end; ++i) body(static_cast<std::size_t>(i));
    });
  }
  void add(Tensors& sum, const Tensors& part) const {
    for_each_layer([&](std::size_t i) {
      const torch::NoGradGuard no_grad;
      sum[i].add_(part[i]);
    });
  }
  /// The graph of what is learned is recorded here, once for all sequences.
  Tensors asked(const TunedLoss::WeightsOf& weights, bool graph) const {
    Tensors asked(layers_.size());
    for_each_layer([&](std::size_t i) {
      const torch::AutoGradMode grad(graph);
      asked[i] = weights(i);
    });
    return asked;
  }

  /// As many graphs at a time as there are threads; `then` gets them in order.
  template <class Then>
  void for_each_sequence(const Tensors& weights, const Sequences& which, bool graph,
                         const Then& then) const {
    Tensors leaves;
    for (const torch::Tensor& weight : weights)
      leaves.push_back(weight.detach().requires_grad_(graph));
    const auto lanes = static_cast<std::size_t>(thread_count());
    std::vector<Part> parts(std::min(lanes, which.size()));
    for (std::size_t first = 0; first < which.size(); first += lanes) {
      const std::size_t count = std::min(lanes, which.size() - first);
      parallel_for(static_cast<std::int64_t>(count), 1, [&](auto begin, auto end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
          parts[i] = part(leaves, static_cast<std::size_t>(which[first + i]), graph);
      });
      for (std::size_t i = 0; i < count; ++i) then(std::move(parts[i]));
    }
  }

  Part part(const Tensors& leaves, std::size_t sequence, bool graph) const {
    const torch::AutoGradMode grad(graph);
    Weights weights = block_.weights;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const torch::Tensor& factor = layers_[i].solution.basis.multiplier;
      weights[layers_[i].name + ".weight"] = factor.defined() ? leaves[i] * factor : leaves[i];
    }
    const torch::Tensor y = block_forward(arch_, block_.index, weights, block_.inputs.at(sequence));
    const torch::Tensor loss = torch::mse_loss(y, block_.outputs.at(sequence));
    Part result{loss.item<double>()};
    if (graph) result.gradients = gradients_of(loss, leaves);
    return result;
  }

  const Architecture& arch_;
  const BlockVisit& block_;
  const std::vector<SolvedLayer>& layers_;
};

}  // namespace

std::int64_t TuneProgress::total(const Tuner& tuner, std::int64_t sequences) {
  std::int64_t steps = 0;
  for (const Tuning& tuning : tuner.in_turn)
    if (tuning.on == TunedOn::block) steps += tuning.steps(sequences);
  return steps;
}

TuneProgress::TuneProgress(const Tuner& tuner, const Source& model, const CalibrationSet& text,
                           std::size_t first, const ProgressFn& progress)
    : blocks_(model.arch.blocks.size()),
      progress_("tune",
                tuner.learns(false)
                    ? static_cast<std::int64_t>(blocks_ - std::min(first, blocks_)) *
                          total(tuner, text.ids.size(0))
                    : 0,
                progress) {}

void TuneProgress::step(std::size_t block, double loss) {
  progress_.step(1, fmt::format("block {} of {}, loss {:.3g}", block + 1, blocks_, loss));
}

void tune(const Tuner& tuner, const Architecture& arch, const BlockVisit& block,
          std::vector<SolvedLayer>& layers, TuneProgress& progress) {
  const BlockOutputs outputs(arch, block, layers);
  const TunedLoss loss{
      .sequences = static_cast<std::int64_t>(block.inputs.size()),
      .seed = block.index,
      .value = [&](const auto& weights,
                   const Sequences& which) { return outputs.value(weights, which); },
      .gradients = [&](const auto& weights, const Sequences& which,
                       const auto& take) { return outputs.gradients(weights, which, take); },
      .step = [&](double value) { progress.step(block.index, value); }};
  for (const Tuning& tuning : tuner.in_turn) {
    if (tuning.on != TunedOn::block) continue;
    std::vector<TunedLayer> tuned;
    for (const SolvedLayer& layer : layers)
      tuned.push_back({layer.name, layer.grid, layer.solution});
    std::vector<Solution> better = tuning.tune(tuned, loss);
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i].solution = std::move(better.at(i));
  }
}

}  // namespace karat
