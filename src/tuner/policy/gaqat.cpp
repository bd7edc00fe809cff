// GAQAT (arXiv 2412.05551): SAGM's two gradients, of which the gate may leave out the first where a
// quantizer's step learns from both.
#include "tuner/shared/sagm.h"
#include "tuner/shared/scale_gate.h"

namespace karat {

TrainingPolicy gaqat_policy(Options& options) {
  const SagmOptions sagm = sagm_options(options);
  const GateOptions gate{
      .window = options.integer("window", 100, 2, 1 << 24, "steps between the gate's decisions"),
      .threshold = options.number("threshold", 0.3, 0, 1,
                                  "disorder below which a scale is frozen; 0: none is"),
      .thaws = options.flag("thaw", true, "0: what is frozen stays so")};
  return {.summary =
              "SAGM; steps whose gradient hardly ever turns take its second pass alone "
              "(arXiv 2412.05551)",
          .needs_learned = true,
          .gradients = [sagm, gate](const PolicyStep& step) {
            GradientPair pair = sagm_pair(step.values, sagm, step.at);
            Weights& combined = pair.task.gradients;
            ScaleGate(gate, step.learned, step.memory).combine(combined, pair.smooth);
            for (auto& [name, gradient] : combined)
              if (!step.learned.contains(name))
                gradient = gradient.add(pair.smooth.at(name)).mul_(0.5);
            return pair.task;
          }};
}

}  // namespace karat
