// An optimizer of training: what is kept from step to step beside the weights, and in how many
// bits. One is src/tuner/optimizer/<name>.cpp with `TrainingOptimizer <name>_optimizer(Options&)`,
// found by its file name.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "core/rng.h"
#include "tuner/shared/adamw.h"
#include "tuner/shared/named.h"
#include "tuner/shared/training_quantizer.h"

namespace karat {

/// What an optimizer knows of a training; the same for all its steps.
struct OptimizerScene {
  OptimizerOptions options;
  OwnRules rules = {};                // of what a quantizer learns
  std::uint64_t seed = 1;             // of roundings that are drawn
  WeightLattice lattice = {};         // on which a quantizer rounds the weights `layers`, where it
  std::set<std::string> layers = {};  // has one; else without steps and empty
};

/// One step as an optimizer sees it.
struct OptimizerStep {
  const OptimizerScene& scene;
  const Weights& gradients;
  double lr = 0;
  std::int64_t number = 0;  // counted from 0
};

/// Functions of the state alone, which is tensors of any type by name, as checkpoints hold them:
/// the same values and numbers give the same bits, for any number of threads.
struct TrainingOptimizer {
  std::string summary = {};               // one line for the help, with the paper
  double beta1 = kBeta1, beta2 = kBeta2;  // where the options leave them open
  bool needs_lattice = false;             // weights of layers are kept on the quantizer's lattice
  bool cpu_only = false;                  // it has no code for a GPU
  /// The state before the first step. Leaves in `weights` may be moved in place.
  std::function<Weights(const OptimizerScene& scene, Weights& weights)> begin = {};
  std::function<void(const OptimizerStep& step, Weights& weights, Weights& state)> update = {};
  /// The weights that the state holds, which checkpoints therefore leave out; may be empty.
  std::function<Weights(const OptimizerScene& scene, const Weights& state)> held = {};
  /// What stands beside the trained weights so that they are stored as they were trained, F32, by
  /// the names of learned parameters; may be empty.
  std::function<Weights(const Weights& state)> beside = {};
};

const std::map<std::string, TrainingOptimizer (*)(Options&)>& training_optimizer_table();

using NamedOptimizer = Named<TrainingOptimizer>;
/// "solo:second=2". Throws Error on an unknown name or option.
NamedOptimizer make_training_optimizer(std::string_view text);

/// The numbers that a step's rounding of the tensor `name` draws.
Rng draws_of(const OptimizerStep& step, std::string_view name);

/// "first.NAME" and "second.NAME" for each of `weights`, zeros: AdamW's state.
Weights zero_moments(const Weights& weights);

}  // namespace karat
