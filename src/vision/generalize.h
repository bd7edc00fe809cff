// Domain generalization: training on some domains, being measured on one that was never seen. The
// host of GAQAT (arXiv 2412.05551).
#pragma once

#include <string>
#include <vector>

#include "karat/progress.h"
#include "vision/images.h"
#include "vision/network.h"

namespace karat {

struct GeneralizeOptions {
  std::int64_t target = 0;  // the domain left out
  std::int64_t bits = 0;    // of weights and inputs of the blocks' convolutions, 2 to 8; 0: F32
  std::string policy =
      {};  // "sagm", "gaqat:window=50": which gradients a step takes; "": the loss's
  std::int64_t width = 16;  // VisionShape::width
  std::int64_t steps = 600;
  std::int64_t batch = 32;           // images of each source domain in a step
  std::int64_t micro_batch = 24;     // images of a graph; decides the bits of the sum
  double lr = 2e-3;                  // AdamW's, a cosine down to a hundredth
  double decay = 1e-4;               // of weights; steps and norms have none
  std::int64_t validate_every = 50;  // steps
  std::uint64_t seed = 1;
};

struct GeneralizePoint {
  std::int64_t step = 0;
  double loss = 0;                // of the task, nats, mean since the point before
  double source = 0, target = 0;  // accuracies: of the sources' held-out fifth, of the target
};

/// One scale's signs in the window that ended at `step` (tuner/shared/scale_gate.h).
struct ScalePoint {
  std::int64_t step = 0;
  std::string scale;
  double disorder = 0, conflict = 0;
  bool frozen = false;  // from then on
};

struct GeneralizeResult {
  std::vector<GeneralizePoint> curve;
  std::vector<ScalePoint> scales;
  GeneralizePoint chosen;  // the point of highest `source`, the first of equals (DomainBed's rule)
  std::int64_t parameters = 0, target_images = 0;
  double seconds = 0;
};

/// Trains on every domain but the target. Same options and images, same result, for any number of
/// threads. Signs are recorded where the policy gates: gaqat:threshold=0 is sagm with such a
/// record. Throws Error on options that do not fit together and on a loss that is not finite,
/// naming the step; Interrupted when `listener` asks to stop.
GeneralizeResult generalize(const DomainImages& set, const GeneralizeOptions& options,
                            const ProgressFn& listener = {});

}  // namespace karat
