// LSQ (Esser et al., ICLR 2020, arXiv 1902.08153): the step of each tensor is learned.
#include "tuner/shared/learned_steps.h"

namespace karat {

TrainingQuantizer lsq_training(Options& options) {
  return learned_step_training(options, "lsq", lsq,
                               "a learned step for each tensor (arXiv 1902.08153)");
}

}  // namespace karat
