// A policy of training: which gradients a step takes, from as many passes as it wants. One is
// src/tuner/policy/<name>.cpp with `TrainingPolicy <name>_policy(Options&)`, found by its file
// name.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "karat/graph.h"
#include "tuner/shared/named.h"

namespace karat {

struct LossAndGradients {
  double loss = 0;
  Weights gradients;
};

/// The loss of the step's batch and its gradients with these values in the place of the weights and
/// of what is learned beside them, which are never taken below the value that they may not fall
/// under.
using GradientsAt = std::function<LossAndGradients(const Weights& values)>;

/// One step as a policy sees it.
struct PolicyStep {
  const Weights& values;                 // the weights and what is learned beside them
  const std::set<std::string>& learned;  // names of the latter: steps of quantizers
  const GradientsAt& at;
  Weights& memory;  // F32 tensors, empty before the first step; checkpoints keep them
};

struct TrainingPolicy {
  std::string summary = {};    // one line for the help, with the paper
  bool needs_learned = false;  // it can do nothing where only weights are trained
  /// The loss at `values`, and the gradients that the optimizer is given. The same bits for the
  /// same values and memory: sums go through them in the order of their names.
  std::function<LossAndGradients(const PolicyStep& step)> gradients = {};
};

const std::map<std::string, TrainingPolicy (*)(Options&)>& training_policy_table();

using NamedPolicy = Named<TrainingPolicy>;
/// "gaqat:window=100". Throws Error on an unknown name or option.
NamedPolicy make_training_policy(std::string_view text);

}  // namespace karat
