// A method is a recipe: one value on each axis. An axis value is a small struct: what it needs of
// calibration and one function (a grid has four), made by `<name>_<axis>(Options&)` in
// src/<axis>/<name>.cpp. An axis never includes another; a solver is handed a grid.
#pragma once

#include <functional>
#include <map>
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

/// metric: what does an error here cost?
struct Metric {
  Needs needs = {};
  /// Scores [out, in], F32, not negative; the larger, the dearer. `error` computes ŵ − w of plain
  /// rounding to the recipe's grid. Empty: the metric `none`.
  std::function<torch::Tensor(const Layer& layer, const std::function<torch::Tensor()>& error)>
      score = {};
};

/// selector: who gets more bits?
struct Selector {
  bool whole_model = false;  // `choose` sees every layer at once instead of one
  /// Flat indices (int64, ascending) of the weights to keep at FP16, per score tensor. Empty: none.
  std::function<std::vector<torch::Tensor>(const std::vector<torch::Tensor>& scores)> choose = {};
};

/// Parameters that a group of columns shares; only the grid that made them looks inside.
using GridParams = std::vector<torch::Tensor>;

/// What a solver hands to its grid's store().
struct Solution {
  torch::Tensor codes = {};             // [out, in], as encode() gave them
  std::vector<GridParams> params = {};  // one per group of columns
  torch::Tensor weight = {};  // [out, in] the weights that were rounded (a solver may move them)
  Kept kept = {};             // these stay at `weight`
};
/// A layer as it will lie in the file.
struct Stored {
  UniformLayout layout;
  std::vector<OwnedTensor> tensors;
  torch::Tensor decoded;  // [out, in] F32: what the tensors decode to
};

/// grid: which values exist, and with which parameters?
struct Grid {
  std::int64_t group = 0;  // consecutive columns that share parameters; 0: all of them
  /// Parameters for the columns `weight` [out, n]; kept entries do not take part.
  std::function<GridParams(const torch::Tensor& weight, const Kept& kept)> fit = {};
  std::function<torch::Tensor(const torch::Tensor& weight, const GridParams& params)> encode = {};
  std::function<torch::Tensor(const torch::Tensor& codes, const GridParams& params)> decode = {};
  std::function<Stored(const std::string& name, const Solution& solution)> store = {};

  std::int64_t group_size(std::int64_t in) const { return group > 0 ? std::min(group, in) : in; }
};

/// solver: which code for which weight?
struct Solver {
  Needs needs = {};
  std::function<Solution(const Layer& layer, const Kept& kept, const Grid& grid)> solve = {};
};

/// One axis of a recipe. `text` is what the command line would say, "uniform:bits=3,group=16". A
/// method that holds a private value names its factory in `own`; others are found by name.
template <class Value>
struct Axis {
  std::string text;
  Value (*own)(Options&) = nullptr;
};

struct Recipe {
  std::string name = {};     // the method's file name; empty in the method's own file
  std::string summary = {};  // one line for `karat methods`
  std::string paper = {};    // "GWQ, arXiv 2411.00850"
  Axis<Metric> metric = {"none"};
  Axis<Selector> selector = {"none"};
  Axis<Grid> grid = {"uniform"};
  Axis<Solver> solver = {"nearest"};
  std::int64_t samples = 1;  // calibration sequences unless the caller says otherwise
};

/// The method called `name`. Throws listing the known ones.
Recipe find_method(const std::string& name);
std::vector<Recipe> all_methods();

/// What a caller changes about a method. An axis text replaces the whole axis; the shortcuts set
/// one option of it.
struct Overrides {
  std::string metric = {}, selector = {}, grid = {}, solver = {};  // empty: as the method has it
  std::string bits = {}, group = {}, ratio = {};  // grid:bits, grid:group, selector:ratio
  bool operator==(const Overrides&) const = default;
};

/// A recipe whose every text was understood.
struct Assembled {
  Recipe recipe;  // texts spelled out in full: every option with its value
  Overrides overrides = {};
  Metric metric = {};
  Selector selector = {};
  Grid grid = {};
  Solver solver = {};
  Needs needs() const { return metric.needs | solver.needs; }
};
/// Throws on an unknown axis value, an unknown or ill-typed option, and on an override that would
/// change nothing (a metric without a selector, say).
Assembled assemble(Recipe recipe, const Overrides& overrides = {});

/// Names of the values an axis ("metric", "selector", "grid", "solver") has, with their options.
struct AxisValue {
  std::string name;
  std::vector<OptionEntry> options;  // defaults
};
std::map<std::string, std::vector<AxisValue>> axis_values();

}  // namespace karat
