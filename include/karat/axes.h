// The axes that a method is made of. An axis value is a small struct: what it needs of calibration
// and a function or two, made by `<name>_<axis>(Options&)` in src/<axis>/<name>.cpp. An axis never
// includes another; a solver is handed a grid.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
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

/// What a tuner is in the middle of.
struct TunerState {
  std::int64_t step = 0;  // steps done
  double start = 0;       // the loss that it began with, over the sequences that judge
  double loss = 0;        // the least that was found
  std::map<std::string, torch::Tensor> tensors = {};  // F32
};

/// What a tuner makes smaller, as a function of the weights of its layers.
struct TunedLoss {
  /// Weights [out, in] of the layer in this place, and the gradient in them. Both may be called in
  /// many threads at once, each layer once a pass; what was asked for is not kept longer than that.
  using WeightsOf = std::function<torch::Tensor(std::size_t layer)>;
  using TakeGradient = std::function<void(std::size_t layer, const torch::Tensor& gradient)>;

  std::int64_t sequences = 0;  // of the text; `which` below names some of them
  std::uint64_t seed = 0;      // another one for each block
  std::function<double(const WeightsOf& weights, const std::vector<std::int64_t>& which)> value =
      {};
  /// The same, and its gradients.
  std::function<double(const WeightsOf& weights, const std::vector<std::int64_t>& which,
                       const TakeGradient& take)>
      gradients = {};
  /// To be called after each step; throws Interrupted when the listener says stop. May be empty.
  std::function<void(double loss)> step = {};
  /// Where what is learned waits for the next run: puts it there, and fills it from there, or says
  /// that nothing is there. Both may be empty: then an interrupted tuner begins again.
  std::function<void(const TunerState& state)> keep = {};
  std::function<bool(TunerState& state)> resume = {};
};

/// A layer on its way through a tuner, in the basis that it is quantized in.
struct TunedLayer {
  std::string name;
  Grid grid;
  Solution start;  // as the solver left it; its weight is undefined unless Tuning::weights
};

/// What a loss is about.
enum class TunedOn {
  block,      // outputs of a block: mean square distance from the original's, block after block
  text,       // the whole model once all blocks are solved: cross-entropy of the text's next tokens
  divergence  // the same: KL from the original model's predictions of them, in nats
};

/// One thing that is learned.
struct Tuning {
  std::string name = {};  // "block-ap"
  TunedOn on = TunedOn::block;
  bool weights = true;  // wants the weights that were rounded
  /// Calls of TunedLoss::step, for a text of so many sequences.
  std::function<std::int64_t(std::int64_t sequences)> steps = {};
  /// Better solutions than `start`, layer by layer.
  std::function<std::vector<Solution>(const std::vector<TunedLayer>& layers, const TunedLoss& loss)>
      tune = {};
};

/// tuner: what is learned, once layers are solved, to bring a block's or the model's outputs back?
struct Tuner {
  Needs needs = {};
  bool rotated = false;  // learns in a rotated basis as well
  bool kept = false;     // learns weights that are kept, so some have to be
  /// Throws Error on a grid that it cannot learn through. Empty: all will do.
  std::function<void(const Grid& grid)> check = {};
  /// One after the other, those of blocks first. Empty: nothing is learned.
  std::vector<Tuning> in_turn = {};
  bool learns(bool whole_model) const {  // something of the whole model, or of blocks
    return std::ranges::any_of(
        in_turn, [=](const Tuning& one) { return (one.on != TunedOn::block) == whole_model; });
  }
};

}  // namespace karat
