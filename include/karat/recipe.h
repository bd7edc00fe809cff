// A method is a recipe: one value on each axis of karat/axes.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "karat/axes.h"

namespace karat {

/// One axis of a recipe. `text` is what the command line would say, "uniform:bits=3,group=16". A
/// method that holds a private value names its factory in `own`; others are found by name.
template <class Value>
struct Axis {
  std::string text;
  Value (*own)(Options&) = nullptr;
};

/// A grid's text may say `widths=mixed`, or a `bits` with a point, "trellis:bits=3.4": bits is
/// then the mean over the layers, and each gets its own (see Widths). With a size it says no bits.
struct Recipe {
  std::string name = {};     // the method's file name; empty in the method's own file
  std::string summary = {};  // one line for `karat methods`
  std::string paper = {};    // "GWQ, arXiv 2411.00850"
  Axis<Metric> metric = {"none"};
  Axis<Selector> selector = {"none"};
  Axis<Transform> transform = {"none"};
  Axis<Grid> grid = {"uniform"};
  Axis<Solver> solver = {"nearest"};
  Axis<Tuner> tuner = {"none"};
  /// Of the quantizing sweep: "quantized", what the blocks quantized so far compute, or "original".
  std::string inputs = "quantized";
  /// Weights brought back to FP16 once all is quantized: Detach in text, "0.0005,rounds=2".
  std::string detach = "none";
  /// The grid of embedding and head, "uniform:bits=8,group=128"; "none": they stay as they are.
  std::string ends = "none";
  /// What the weight files may take, "90MB", or 8 · that ÷ parameters, "4.5": layers, and ends that
  /// are rounded, get the widths that lose least within it. "none", both: the grids say the widths.
  std::string size = "none", file_bits = "none";
  std::int64_t samples = 1;  // calibration sequences unless the caller says otherwise
  std::int64_t length = 0;   // tokens of each likewise; 0: 2048, or as many as the model knows
};

/// After quantizing: the weights of largest score in the whole model, `ratio` of all, become what
/// they were, a share of them each round, since each round changes the scores of the others.
struct Detach {
  double ratio = 0;
  std::int64_t rounds = 1;
};

/// How embedding and head, the model's ends, are rounded: in their own basis, to the nearest
/// values, nothing kept.
struct Ends {
  Grid grid = {};
  Solver solver = {};
  std::map<int, Grid> grids = {};  // by bits, where a budget chooses one for each end
};

/// The method called `name`. Throws listing the known ones.
Recipe find_method(const std::string& name);
std::vector<Recipe> all_methods();

/// Where every layer's codes have their own width: it gets one of `grids`, by bits, so that codes
/// have `mean` bits on average, or within the recipe's budget where the mean is 0. No grids: all
/// layers have the recipe's grid.
struct Widths {
  double mean = 0;
  std::map<int, Grid> grids = {};
  bool mixed() const { return !grids.empty(); }
};

/// What the weight files, all *.safetensors of the output, may take.
struct Budget {
  double bytes = 0, bits = 0;  // `bits` a parameter where it is not 0
  /// In bytes; a tied matrix counts once as parameters.
  std::int64_t of(const Architecture& arch) const;
};

/// What a caller changes about a method. An axis text replaces the whole axis; the shortcuts set
/// one option of it.
struct Overrides {
  std::string metric = {}, selector = {}, transform = {}, grid = {}, solver = {},
              tuner = {};  // empty: kept
  std::string bits = {}, group = {}, ratio = {},
              iterations = {};  // grid:bits, grid:group, selector:ratio, tuner:iterations
  std::string inputs = {}, detach = {}, ends = {}, size = {}, file_bits = {};
  bool operator==(const Overrides&) const = default;
};

/// A flag by which a caller changes a recipe; reports call what it sets by the same name.
struct RecipeFlag {
  enum class Kind {
    axis,      // replaces the value of an axis
    shortcut,  // sets one option of it
    sweep,     // how the quantizing sweep runs
    step,      // a step before or after quantizing the blocks
    budget,    // how large the files may be
  };
  std::string_view name, help;  // "grid"; what `--help` says
  Kind kind = Kind::axis;
  std::string Overrides::*changed = nullptr;
  /// What the recipe says there; empty for a shortcut.
  std::function<const std::string&(const Recipe& recipe)> text = {};
};
/// All that there are, in the order in which recipes are written down; the axes come first.
const std::vector<RecipeFlag>& recipe_flags();
/// "gradient:key=g | top:ratio=0.01,scope=matrix | none | uniform:… | nearest"
std::string axes_text(const Recipe& recipe);

/// A recipe whose every text was understood.
struct Assembled {
  Recipe recipe;  // texts spelled out in full: every option with its value
  Overrides overrides = {};
  Metric metric = {};
  Selector selector = {};
  Transform transform = {};
  Grid grid = {};  // with mixed widths the one of the mean or the next wider
  Widths widths = {};
  std::optional<Budget> budget = {};
  Solver solver = {};
  Tuner tuner = {};
  Detach detach = {};
  std::optional<Ends> ends = {};
  /// Of the quantizing sweep.
  Needs solve_needs() const { return transform.needs | grid.needs | solver.needs | tuner.needs; }
  Needs needs() const { return metric.needs | solve_needs() | widths_needs(); }
  /// Of choosing the widths.
  Needs widths_needs() const;
};
/// What learning over the whole model did to its loss, over the sequences that judged.
struct LearnedLoss {
  std::string tuner;
  double before = 0, after = 0;
};
/// Throws on an unknown axis value, an unknown or ill-typed option, and on an override that would
/// change nothing (a metric without a selector, say).
Assembled assemble(Recipe recipe, const Overrides& overrides = {});

/// Names of the values that each axis ("metric", "selector", …) has, with their options.
struct AxisValue {
  std::string name;
  std::vector<OptionEntry> options;  // defaults
};
std::map<std::string, std::vector<AxisValue>> axis_values();

}  // namespace karat
