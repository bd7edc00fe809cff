// GuidedQuant's statistics (Kim et al. 2025, arXiv 2505.07004) with one group of outputs: the
// weight of token t is the mean over outputs j of (∂L/∂y_tj)², and H̄ = 2 Xᵀ diag(w) X / Σw.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "karat/calibrate.h"

namespace karat {

/// Gathers over any number of passes of one block, each a sequence. In a pass that records a graph
/// the weights appear as its backward reaches each layer's output, whose input is still there.
class GuidedStats {
 public:
  using TokenWeights = std::function<torch::Tensor(const std::string& linear)>;
  /// Passes without a graph take the weights [tokens of all passes] from `known`.
  explicit GuidedStats(const Needs& needs, TokenWeights known = {})
      : needs_(needs), known_(std::move(known)) {}

  /// The observer of one pass; this must outlive the pass and its backward. Empty when nothing is
  /// needed.
  LinearObserver observer();
  /// Adds what was needed to the layers' entries. Throws Error, naming the layer, when no token has
  /// a gradient or when the known weights are of other passes.
  void finish(std::map<std::string, LinearStats>& stats) const;

 private:
  struct Sum {
    torch::Tensor product;               // [in, in]  Xᵀ diag(w) X
    std::vector<torch::Tensor> weights;  // [tokens] of each pass
    torch::Tensor known;                 // [tokens of all passes]
    std::int64_t tokens = 0;             // so far
  };
  void observe(const Linear& layer, const torch::Tensor& input, const torch::Tensor& output);
  void add(Sum& sum, const torch::Tensor& input, const torch::Tensor& weights) const;

  Needs needs_;
  TokenWeights known_;
  std::map<std::string, Sum> sums_;  // by layer
};

}  // namespace karat
