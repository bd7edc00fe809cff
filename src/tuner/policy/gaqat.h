// GAQAT's gate (arXiv 2412.05551): which of two gradients drives a learned scale. The task's
// gradient and the smoothness gradient of a scale can point apart for long, and then hold the scale
// between them. Where the task's gradient hardly ever changes its sign, it is left out for a while.
#pragma once

#include "karat/graph.h"

namespace karat {

struct GaqatOptions {
  std::int64_t window = 100;  // steps, at least 2, that a decision looks back on and holds for
  double threshold = 0.3;     // a scale of less disorder is frozen
  bool thaws = true;          // decided anew after each window; else what is frozen stays so
};

/// Of scales that any quantizer learns; each entry of a tensor is a scale of its own. The paper's
/// window and threshold are not public: these are ours (random signs have a disorder of 0.5).
class GaqatGate {
 public:
  /// `scales`: the names and shapes of what is gated. Throws Error on a window below 2 or a
  /// threshold outside 0 … 1.
  GaqatGate(const Weights& scales, const GaqatOptions& options);

  /// Gradients of the scales for one step: half of task + smooth, where frozen smooth alone.
  /// Remembers the task's signs; each `window` calls decide who is frozen from the next one on.
  Weights combine(const Weights& task, const Weights& smooth);

  /// Sign changes from one step to the next of the task's gradient ÷ (window − 1), in the last
  /// whole window; and between the two gradients ÷ window. Empty before there is one.
  const Weights& disorder() const { return disorder_; }
  const Weights& conflict() const { return conflict_; }
  const Weights& frozen() const { return frozen_; }  // Bool

 private:
  void decide();
  GaqatOptions options_;
  std::int64_t seen_ = 0;  // steps of the window at hand
  Weights sign_, flips_, apart_, frozen_, disorder_, conflict_;
};

}  // namespace karat
