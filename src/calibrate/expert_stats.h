// Statistics of experts that few tokens visited. An expert that saw fewer tokens than a layer has
// inputs leaves some directions of them unseen, and its Hessian is singular. What it lacks to as
// many tokens comes from the other experts of its block, by tokens:
//
//   H = (n H_own + (f − n) H_all) / f,   f the inputs, n < f the tokens, H_all = Σ n_e H_e / Σ n_e
//
// and mean |X| and X² likewise. What experts read before their last layer are states of the model,
// the same for all; what enters the last one are units of their own, which correspond to none of
// another expert, so of that H_all is the mean of its diagonal times the identity. The Fisher
// information of an expert that no gradient came back from, for want of tokens, is that of one
// token at the mean weight of all experts.
#pragma once

#include <map>
#include <string>

#include "karat/calibrate.h"

namespace karat {

class ExpertStats {
 public:
  explicit ExpertStats(const Block& block) : block_(block) {}

  /// Counts the tokens of experts; must not outlive this. Empty where there are no experts.
  LinearObserver observer();
  /// Pools what the layers' entries have, and says there of which layers.
  void finish(std::map<std::string, LinearStats>& stats) const;

 private:
  const Block& block_;
  std::map<std::string, std::int64_t> tokens_;  // by layer
};

}  // namespace karat
