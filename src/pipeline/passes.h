// The passes that a recipe takes over the model, each leaving what it found in the work folder.
#pragma once

#include "pipeline/steps.h"
#include "pipeline/work.h"

namespace karat {

class Passes {
 public:
  Passes(const Source& model, const Assembled& recipe, const CalibrationSet& text, const Work& work,
         const ProgressFn& progress);

  /// measure, choose, quantize, detach; goes on where an interrupted run stopped. The blocks as
  /// they will be saved.
  BlockStore run();
  double loss() const { return loss_; }             // of the text; 0 when no pass computed it
  std::size_t resumed() const { return resumed_; }  // blocks that were finished before

 private:
  Plan planned();
  Plan measure_and_plan();
  Chosen choose();
  /// ŵ to look back on: quantized with nothing kept.
  BlockStore first_quantization();
  /// What later passes want to know of gradients.
  Needs later() const;
  SweepResult carry_statistics();
  MeasureStep first_step();

  const Source& model_;
  const Assembled& recipe_;
  const CalibrationSet& text_;
  const std::filesystem::path folder_;
  const ProgressFn& progress_;
  Carried carried_;
  WidthChooser widths_;
  double loss_ = 0;
  std::size_t resumed_ = 0;
};

/// Σ weight · ∂L/∂W at w + at · (ŵ − w) over `nodes`, put into `gradients` as "gradient" of every
/// linear layer; ŵ are the weights of `blocks`. The loss of the text at each node.
std::vector<double> integrate_path(const Source& model, const BlockStore& blocks,
                                   const CalibrationSet& text, const std::vector<PathNode>& nodes,
                                   Carried& gradients, const ProgressFn& progress);

/// Of all weights in the linear layers the share detach.ratio / detach.rounds with the largest
/// scores, looking back on `from`, become what they were: FP16 residuals in the overlay. `to` takes
/// the blocks so changed. `statistics` has what the metric wants to know of gradients; those of
/// a path are put there.
void detach_round(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                  const BlockStore& from, Carried& statistics, BlockStore& to,
                  const ProgressFn& progress);

}  // namespace karat
