// AdamW: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
//
// Written out instead of taken from torch::optim, whose state can only leave the process as a
// pickle archive that differs between LibTorch versions; here the two moments are plain tensors
// that a checkpoint stores by name.
#pragma once

#include "karat/graph.h"
#include "karat/train.h"

namespace karat {

/// How a weight differs from the others: the factor of its learning rate, its own decay, and the
/// value below which no entry of it may fall.
struct OwnRule {
  double rate = 1, decay = 0, least = 0;
};
using OwnRules = std::map<std::string, OwnRule>;  // by the weight's name

struct AdamW {
  OptimizerOptions options;
  OwnRules rules;
  Weights first, second;  // moments, shaped like the weights

  AdamW(const OptimizerOptions& options, const Weights& weights, OwnRules rules = {});
  /// One update of `weights` in place; `step` counts from 0 and sets the bias correction.
  void update(Weights& weights, const Weights& gradients, double lr, std::int64_t step);
};

/// The global norm: of all gradients together, in the order of their names.
double gradient_norm(const Weights& gradients);
/// Scales `gradients` in place so that their global norm is at most `limit` (0: leaves them) and
/// returns the norm before (Pascanu, Mikolov, Bengio 2013).
double clip_gradients(Weights& gradients, double limit);

}  // namespace karat
