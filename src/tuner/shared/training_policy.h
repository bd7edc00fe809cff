// A policy of training: which gradients a step takes, from as many passes as it wants. One is
// src/tuner/policy/<name>.cpp with `TrainingPolicy <name>_policy(Options&)`, found by its file
// name.
#pragma once

#include <functional>
#include <map>
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

struct TrainingPolicy {
  std::string summary = {};  // one line for the help, with the paper
  /// The loss at `values`, and the gradients that the optimizer is given. The same bits for the
  /// same values: sums go through them in the order of their names.
  std::function<LossAndGradients(const Weights& values, const GradientsAt& at)> gradients = {};
};

const std::map<std::string, TrainingPolicy (*)(Options&)>& training_policy_table();

using NamedPolicy = Named<TrainingPolicy>;
/// "sagm:rho=0.05". Throws Error on an unknown name or option.
NamedPolicy make_training_policy(std::string_view text);

}  // namespace karat
