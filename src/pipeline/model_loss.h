// The loss of the whole model as a function of its linear layers' weights, with the memory of one
// block: sweeps whose blocks get other weights as they are loaded.
#pragma once

#include "pipeline/steps.h"

namespace karat {

class ModelLoss {
 public:
  using Sequences = std::vector<std::int64_t>;
  /// `layers` are all linear layers of the model, each in its own basis; `blocks` and `ends` have
  /// what else is not as in the original. `pulse` is called while a sweep is under way and may
  /// throw. All but `pulse` and `on` must outlive this.
  ModelLoss(const Source& model, const CalibrationSet& text, const BlockStore& ends,
            const BlockStore& blocks, const std::vector<SolvedLayer>& layers, TunedOn on,
            std::function<void()> pulse);

  /// As TunedLoss has them.
  double value(const TunedLoss::WeightsOf& weights, const Sequences& which) const;
  double gradients(const TunedLoss::WeightsOf& weights, const Sequences& which,
                   const TunedLoss::TakeGradient& take) const;

 private:
  CalibrationSet batch(const Sequences& which) const;
  SweepOptions options(const CalibrationSet& batch, const TunedLoss::WeightsOf& weights,
                       bool graph) const;
  void edit(const CalibrationSet& batch, const TunedLoss::WeightsOf& weights, std::size_t block,
            Weights& loaded) const;
  std::vector<std::size_t> layers_of(std::size_t block) const;
  std::vector<torch::Tensor> original_outputs(const CalibrationSet& batch) const;
  ProgressFn alive() const;

  const Source& model_;
  const CalibrationSet& text_;
  const BlockStore &ends_, &blocks_;
  const std::vector<SolvedLayer>& layers_;
  std::map<std::string, std::size_t> places_;  // of layers
  TunedOn on_;
  std::function<void()> pulse_;
};

}  // namespace karat
