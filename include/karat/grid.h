// A linear layer, the values that its weights may take, and what a method makes of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "karat/calibrate.h"
#include "karat/options.h"
#include "karat/packed.h"
#include "karat/torch.h"

namespace karat {

/// A linear layer as the axes see it.
struct Layer {
  std::string name;        // "model.layers.0.self_attn.q_proj"
  torch::Tensor weight;    // [out, in] F32
  LinearStats stats = {};  // what the axis value needs
};
/// Weights chosen to stay at FP16: bool [out, in]; undefined means none.
using Kept = torch::Tensor;

/// The basis that a layer is quantized in. With m = `multiplier`, y = Wx is computed as
/// (W/m)(m∘x): the grid sees W/m, and m is stored beside it. With a rotation, the grid sees
/// R_out (W/m) R_inᵀ, both randomized Hadamard matrices that follow from the seed.
struct Basis {
  torch::Tensor multiplier = {};  // [in] F32, positive, exact in FP16; undefined: as it is
  std::optional<std::uint32_t> rotation = {};  // the seed; nothing: not rotated
};

/// Parameters that a group of columns shares; only the grid that made them looks inside. Those of
/// some rows are these rows of each tensor that has as many as the layer.
using GridParams = std::vector<torch::Tensor>;

/// What a solver hands to its grid's store().
struct Solution {
  torch::Tensor codes = {};             // [out, in], as encode() gave them
  std::vector<GridParams> params = {};  // one per group of columns
  torch::Tensor weight = {};  // [out, in] the weights that were rounded (a solver may move them)
  Kept kept = {};             // these stay at `weight`
  Basis basis = {};           // that all of the above is in
};
/// A layer as it will lie in the file.
struct Stored {
  PackedLayout layout;
  std::vector<OwnedTensor> tensors;
  torch::Tensor decoded;  // [out, in] F32: what the tensors decode to, in the layer's own basis
};

/// What is fitted at once: a group of a layer's columns, or rows of several groups stacked.
struct Slab {
  torch::Tensor weight;     // [rows, n] F32
  Kept kept = {};           // [rows, n]; kept entries do not take part
  torch::Tensor cost = {};  // [rows, n] or [1, n]: of a squared error, ≥ 0; undefined: all alike
  torch::Tensor gram = {};  // [n, n] block of H on the diagonal; undefined unless Grid::gram
};

/// Values that are evenly spaced, scale·(code − zero) for the codes 0 … top, where any scale above
/// 0 and any zero from 0 to top may be stored: what a tuner can learn.
struct EvenLevels {
  double top = 0;
  /// {scale, zero, …} rounded as they are stored, for a scale and a zero of one shape.
  std::function<GridParams(const torch::Tensor& scale, const torch::Tensor& zero)> params = {};
};

/// grid: which values exist, and with which parameters?
struct Grid {
  std::int64_t group = 0;  // consecutive columns that share parameters; 0: all of them
  std::int64_t block = 1;  // columns that `encode` wants together
  std::int64_t rows = 1;   // likewise, counted from the first; each such part is coded alone
  Needs needs = {};        // of a layer's statistics, for what follows
  /// Cost of a squared error in each weight of a layer, [out, in] or [1, in]; empty: all alike.
  std::function<torch::Tensor(const Layer& layer)> cost = {};
  bool gram = false;  // slabs want their block of the Hessian
  std::function<GridParams(const Slab& slab)> fit = {};
  /// A cheap stand-in for `fit` that treats every row alone and needs no gram: selectors ask it
  /// what a range costs. Empty: the grid has no range to speak of.
  std::function<GridParams(const Slab& slab)> fit_rows = {};
  std::function<torch::Tensor(const torch::Tensor& weight, const GridParams& params)> encode = {};
  std::function<torch::Tensor(const torch::Tensor& codes, const GridParams& params)> decode = {};
  std::function<Stored(const std::string& name, const Solution& solution)> store = {};
  /// Better parameters for codes that are held. With d what the weights change by, 0 where kept,
  /// and slope [rows, n] = H(ŵ − w) half the gradient of the layer's error, d·gram·d + 2 d·slope of
  /// a row is never above 0. The codes may be renumbered. Only for grids of tables: params[0]
  /// [rows, values] F32 are what the codes, bytes, stand for. Empty: none.
  std::function<void(const Slab& slab, const torch::Tensor& slope, torch::Tensor& codes,
                     GridParams& params)>
      refit = {};
  std::optional<EvenLevels> even = {};
  /// `params` with another scale, rounded as it is stored: where values are params[0], a scale
  /// [rows, 1], times what the codes and the other parameters stand for. Empty: they are not.
  std::function<GridParams(const GridParams& params, const torch::Tensor& scale)> rescale = {};

  std::int64_t group_size(std::int64_t in) const { return group > 0 ? std::min(group, in) : in; }
};

}  // namespace karat
