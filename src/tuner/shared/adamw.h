// AdamW: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
//
// Written out instead of taken from torch::optim, whose state can only leave the process as a
// pickle archive that differs between LibTorch versions; here the two moments are plain tensors
// that a checkpoint stores by name.
#pragma once

#include <functional>

#include "karat/graph.h"
#include "karat/train.h"

namespace karat {

/// How a weight differs from the others: the factor of its learning rate, its own decay, and the
/// value below which no entry of it may fall.
struct OwnRule {
  double rate = 1, decay = 0, least = 0;
};
using OwnRules = std::map<std::string, OwnRule>;  // by the weight's name

/// One step of one tensor, as algorithm 2 writes it.
struct AdamWStep {
  double lr = 0, decay = 0;  // decay: decoupled, in the place of lr · λ
  double beta1 = 0, beta2 = 0, epsilon = 0;
  double first_size = 1;   // 1 − β1^t, what m̂ is m over
  double second_size = 1;  // √(1 − β2^t)
  double least = 0;        // with `bounded`: what no entry may fall below
  bool bounded = false;

  /// Takes `gradient` into the moments m and v.
  void remember(const torch::Tensor& gradient, torch::Tensor& m, torch::Tensor& v) const;
  /// √v̂ + ε
  torch::Tensor size(const torch::Tensor& v) const;
  /// Moves `weight` by −lr · m̂ / size, after its decay.
  void move(torch::Tensor weight, const torch::Tensor& m, const torch::Tensor& size) const;
};
/// Of the weight `name`; `step` counts from 0. Only matrices decay that have no rule of their own.
AdamWStep adamw_step(const OptimizerOptions& options, const OwnRules& rules,
                     const std::string& name, const torch::Tensor& weight, double lr,
                     std::int64_t step);

inline constexpr double kBeta1 = 0.9, kBeta2 = 0.95;  // where the options leave them open

struct AdamW {
  OptimizerOptions options;
  OwnRules rules;
  Weights first, second;  // moments, shaped like the weights

  AdamW(const OptimizerOptions& options, const Weights& weights, OwnRules rules = {});
  /// One update of `weights` in place; `step` counts from 0 and sets the bias correction.
  void update(Weights& weights, const Weights& gradients, double lr, std::int64_t step);
};

/// Calls body on every entry of `weights`, in parallel, without gradients; entries are independent.
void for_each_tensor(Weights& weights,
                     const std::function<void(const std::string&, torch::Tensor&)>& body);

/// The global norm: of all gradients together, in the order of their names.
double gradient_norm(const Weights& gradients);
/// Scales `gradients` in place so that their global norm is at most `limit` (0: leaves them) and
/// returns the norm before (Pascanu, Mikolov, Bengio 2013).
double clip_gradients(Weights& gradients, double limit);

}  // namespace karat
