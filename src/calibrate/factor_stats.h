// Kronecker factors of the Fisher information of a layer's weights, for labels drawn from the model
// (YAQA, Tseng et al. 2025, arXiv 2505.22988): one round of power iteration from the identity,
// H_I ∝ E GᵀG and H_O ∝ E GGᵀ. G = gᵀx is the gradient of a token (sketch A), or of a sequence
// (sketch B), x [tokens, in] what the layer reads and g [tokens, out] the gradient of what it
// writes.
#pragma once

#include <map>
#include <string>

#include "karat/calibrate.h"

namespace karat {

/// Gathers over any number of passes of one block, each a sequence, as their backwards reach each
/// layer's output.
class FactorStats {
 public:
  explicit FactorStats(Sketch sketch) : sketch_(sketch) {}

  /// The observer of one pass that records a graph; this must outlive the pass and its backward.
  /// Empty when nothing is needed.
  LinearObserver observer();
  /// Adds both factors to the layers' entries. Throws Error, naming the layer, when no token has a
  /// gradient, or one that is not finite.
  void finish(std::map<std::string, LinearStats>& stats) const;

 private:
  struct Sum {
    torch::Tensor input, output;  // the upper triangles count
    std::int64_t sequences = 0, time = 0;
  };
  void add(Sum& sum, const torch::Tensor& input, const torch::Tensor& gradient) const;

  Sketch sketch_;
  std::map<std::string, Sum> sums_;  // by layer
};

/// Numbers in [0, 1) by which labels of a sequence [1, time] are drawn, [time − 1] F64. They follow
/// from its ids alone.
torch::Tensor label_draws(const torch::Tensor& ids);

}  // namespace karat
