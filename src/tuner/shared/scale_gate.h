// GAQAT's gate (arXiv 2412.05551): which of two gradients drives a learned scale. The task's
// gradient and the smoothness gradient of a scale can point apart for long, and then hold the scale
// between them. Where the task's gradient hardly ever changes its sign, it is left out for a while.
#pragma once

#include <set>
#include <string>

#include "karat/graph.h"

namespace karat {

struct GateOptions {
  std::int64_t window = 100;  // steps, at least 2, that a decision looks back on and holds for
  double threshold = 0.3;     // a scale of less disorder is frozen; 0: none ever is
  bool thaws = true;          // decided anew after each window; else what is frozen stays so
};

/// Each entry of a scale's tensor is a scale of its own. The paper's window and threshold are not
/// public: these are ours (random signs have a disorder of 0.5). What is remembered is in `memory`,
/// F32 tensors "gate.<what>.<scale>" and "gate.seen": a gate made anew over them goes on.
class ScaleGate {
 public:
  ScaleGate(const GateOptions& options, const std::set<std::string>& scales, Weights& memory)
      : options_(options), scales_(scales), memory_(memory) {}

  /// One step. task[s] of each scale becomes half of task + smooth, where frozen smooth alone. Each
  /// `window` steps decide who is frozen from the next one on.
  void combine(Weights& task, const Weights& smooth);

 private:
  torch::Tensor& remembered(const char* what, const std::string& scale) const;
  void decide();
  const GateOptions options_;
  const std::set<std::string>& scales_;
  Weights& memory_;
};

/// What a gate remembers of the last whole window: sign changes from one step to the next of the
/// task's gradient ÷ (window − 1), signs that differ between the two gradients ÷ window, and 1
/// where the scale is frozen since. Undefined before there was a window.
struct GateWindow {
  torch::Tensor disorder, conflict, frozen;
};
GateWindow gate_window(const Weights& memory, const std::string& scale);
/// Whether a window ended with the last step.
bool gate_decided(const Weights& memory);

}  // namespace karat
