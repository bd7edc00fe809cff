// PACT (Choi et al. 2018, arXiv 1805.06085): the clip value of each tensor learns from what it
// clips. It is held as a step, clip / top level.
#include "tuner/shared/learned_steps.h"

namespace karat {

TrainingQuantizer pact_training(Options& options) {
  return learned_step_training(options, "pact", pact,
                               "a learned clip value for each tensor (arXiv 1805.06085)");
}

}  // namespace karat
