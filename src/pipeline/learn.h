// learn: what a tuner learns over the whole model, once all blocks are quantized.
#pragma once

#include "pipeline/steps.h"

namespace karat {

/// Where quantize() puts what learn() begins with.
SolutionStore solutions_of(const std::filesystem::path& work, const Assembled& recipe);

struct Learnt {
  BlockStore blocks;  // as they end
  std::vector<LearnedLoss> losses = {};
};
/// `blocks` are quantized, `ends` may be empty. What is made lies below `work`, where an
/// interrupted run goes on.
Learnt learn(const Source& model, const Assembled& recipe, const CalibrationSet& text,
             const Plan& plan, const BlockStore& ends, const BlockStore& blocks,
             const std::filesystem::path& work, const ProgressFn& progress);

}  // namespace karat
