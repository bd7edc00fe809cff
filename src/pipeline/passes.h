// The passes that a recipe takes over the model, each leaving what it found in the work folder.
#pragma once

#include "pipeline/steps.h"
#include "pipeline/work.h"

namespace karat {

struct Passed {
  BlockStore ends;    // embedding and head in its block 0, or empty
  BlockStore blocks;  // as they will be saved
  double loss = 0;    // of the text; 0 when no pass computed it
  std::vector<LearnedLoss> learned = {};
  std::size_t resumed = 0;                // blocks that were finished before
  std::vector<std::string> notices = {};  // of the budget
};
/// measure, choose: what they find stays in the work folder, and what a budget makes of it does
/// not.
Plan make_plan(const Source& model, const Assembled& recipe, const CalibrationSet& text,
               const Work& work, const ProgressFn& progress);
/// measure, choose, ends, quantize, learn, detach; goes on where an interrupted run stopped.
Passed run_passes(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                  const Work& work, const ProgressFn& progress);

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
