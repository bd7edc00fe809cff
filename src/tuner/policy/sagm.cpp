// SAGM (Wang et al., CVPR 2023, arXiv 2303.10353): half of the loss's gradient and half of that of
// weights moved uphill by a fixed length and back by a share of the gradient.
#include "tuner/shared/sagm.h"

namespace karat {

TrainingPolicy sagm_policy(Options& options) {
  const SagmOptions sagm = sagm_options(options);
  return {.summary = "flat minima: two passes a step (arXiv 2303.10353)",
          .gradients = [sagm](const PolicyStep& step) {
            GradientPair pair = sagm_pair(step.values, sagm, step.at);
            for (auto& [name, gradient] : pair.task.gradients)
              gradient = gradient.add(pair.smooth.at(name)).mul_(0.5);
            return pair.task;
          }};
}

}  // namespace karat
