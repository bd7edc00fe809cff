// The axes that a method is made of. An axis value is a small struct: what it needs of calibration
// and a function or two, made by `<name>_<axis>(Options&)` in src/<axis>/<name>.cpp. An axis never
// includes another; a solver is handed a grid.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "karat/grid.h"

namespace karat {

/// A point on the segment from the weights (0) to the quantized ones (1).
struct PathNode {
  double at = 0, weight = 1;
};

/// metric: what does an error here cost?
struct Metric {
  Needs needs = {};
  bool error = false;  // calls `error`, so the grid's own needs are served too
  /// Not empty: the metric looks back on a quantization ŵ that is already there. Its gradient is
  /// Σ weight · ∂L/∂W at w + at · (ŵ − w) over these nodes, and `error` is that ŵ − w.
  std::vector<PathNode> path = {};
  /// Scores [out, in], F32, not negative; the larger, the more an error costs. `error` computes
  /// ŵ − w: without a path, of plain rounding to the recipe's grid. Empty: the metric `none`.
  std::function<torch::Tensor(const Layer& layer, const std::function<torch::Tensor()>& error)>
      score = {};
};

/// What a selector chooses a layer's weights by.
struct Candidates {
  torch::Tensor worth;  // [out, in] of keeping each
  double score = 0;     // mean of the layer's scores
};

/// selector: who gets more bits?
struct Selector {
  bool whole_model = false;  // `choose` sees every layer at once instead of one
  /// Throws Error on a grid that it cannot choose for. Empty: all will do.
  std::function<void(const Grid& grid)> check = {};
  /// What keeping each weight is worth [out, in], where that differs from its score. Empty: the
  /// scores themselves.
  std::function<torch::Tensor(const Layer& layer, const torch::Tensor& scores, const Grid& grid)>
      worth = {};
  /// Flat indices (int64, ascending) of the weights to keep at FP16, layer by layer. Empty: none.
  std::function<std::vector<torch::Tensor>(const std::vector<Candidates>& layers)> choose = {};
};

/// transform: in which basis is a layer quantized?
struct Transform {
  Needs needs = {};
  bool fold = false;  // layers with the same input share a basis; nothing is stored where what
                      // makes that input can be multiplied instead
  bool rotates = false;
  /// Throws Error on a grid that it cannot serve when `known` is what calibration tells of a layer.
  /// Empty: all will do.
  std::function<void(const Grid& grid, const Needs& known)> check = {};
  /// Empty: none. The layer's statistics are of its own basis.
  std::function<Basis(const Layer& layer, const Kept& kept, const Grid& grid)> fit = {};
};

/// solver: which code for which weight?
struct Solver {
  Needs needs = {};
  bool keeps = false;  // chooses weights to keep beyond those it is given
  /// Throws Error on a grid that it cannot solve for. Empty: all will do.
  std::function<void(const Grid& grid)> check = {};
  std::function<Solution(const Layer& layer, const Kept& kept, const Grid& grid)> solve = {};
};

/// How far the outputs of a block are from those of the original one: their mean square error.
struct BlockLoss {
  std::int64_t sequences = 0;  // of the text; `which` below names some of them
  std::uint64_t seed = 0;      // another one for each block
  /// With these weights [out, in] of the tuned layers, in their order.
  std::function<double(const std::vector<torch::Tensor>& weights,
                       const std::vector<std::int64_t>& which)>
      value = {};
  /// The same, and its gradients in `weights`.
  std::function<double(const std::vector<torch::Tensor>& weights,
                       const std::vector<std::int64_t>& which,
                       std::vector<torch::Tensor>& gradients)>
      gradients = {};
  /// To be called after each step; throws Interrupted when the listener says stop. May be empty.
  std::function<void(double loss)> step = {};
};
/// A layer of a block on its way through a tuner, in the basis that it is quantized in.
struct TunedLayer {
  std::string name;
  Grid grid;
  Solution start;  // as the solver left it
};

/// tuner: what of a block is learned, once its layers are solved, to bring its outputs back?
struct Tuner {
  Needs needs = {};
  /// Throws Error on a grid that it cannot learn through. Empty: all will do.
  std::function<void(const Grid& grid)> check = {};
  /// Calls of BlockLoss::step a block, for a text of so many sequences.
  std::function<std::int64_t(std::int64_t sequences)> steps = {};
  /// Better solutions than `start`, layer by layer. Empty: none is looked for.
  std::function<std::vector<Solution>(const std::vector<TunedLayer>& layers, const BlockLoss& loss)>
      tune = {};
};

}  // namespace karat
