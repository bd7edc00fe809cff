// From a method's name and the caller's overrides to the functions that will run.
#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "pipeline/axes.h"
#include "recipe/axis_text.h"

namespace karat {

const std::map<std::string, Recipe (*)()>& method_table();  // cmake/registry.cmake writes it

namespace {

template <class Value>
std::vector<std::string> names(const std::map<std::string, Value>& table) {
  std::vector<std::string> result;
  for (const auto& [name, value] : table) result.push_back(name);
  return result;
}

/// Makes the value that `axis` names and spells its options out in `axis.text`.
template <class Value>
Value make(const std::string& kind, Axis<Value>& axis, const Table<Value>& table) {
  const std::string name = name_of(axis.text);
  const auto found = table.find(name);
  if (!axis.own && found == table.end())
    fail(kind, fmt::format("'{}'", name), list_text(names(table)));
  Options options(kind + " " + name, options_of(axis.text));
  Value value = (axis.own ? axis.own : found->second)(options);
  options.finish();
  axis.text = options.known().empty() ? name : name + ":" + options.text();
  return value;
}

/// Sets an option of an axis. It may not be in `written` too, the axis as the caller wrote it.
void set_option(const Shortcut& shortcut, const std::string& value, const std::string& written,
                std::string& axis) {
  if (value.empty()) return;
  if (option_of(written, shortcut.option))
    fail(std::string(shortcut.axis), fmt::format("--{} {} and '{}'", shortcut.option, value, axis),
         "one of them");
  axis = with_option(axis, shortcut.option, value);
}

template <class Value>
void change(const AxisEntry<Value>& entry, const Overrides& overrides, Recipe& recipe) {
  Axis<Value>& axis = recipe.*entry.recipe;
  const std::string& written = overrides.*entry.changed;
  if (!written.empty()) {
    if (name_of(written) != name_of(axis.text)) axis.own = nullptr;
    axis.text = written;
  }
  for (const Shortcut& shortcut : kShortcuts)
    if (shortcut.axis == entry.name)
      set_option(shortcut, overrides.*shortcut.changed, written, axis.text);
}

void apply(const Overrides& overrides, Recipe& recipe) {
  for_each_axis([&](const auto& entry) { change(entry, overrides, recipe); });
  for (const RecipeText& text : kTexts)
    if (!(overrides.*text.changed).empty()) recipe.*text.recipe = overrides.*text.changed;
  if (name_of(recipe.selector.text) == "none" && recipe.detach == "none" &&
      overrides.metric.empty())
    recipe.metric = {"none"};
}

/// Whether the options of a grid's text ask for layers of different widths.
bool mixes_widths(const std::string& kind, const std::string& options) {
  const std::string bits = Options::find(options, "bits").value_or("4");
  const std::string widths = Options::find(options, "widths").value_or("same");
  if (widths != "same" && widths != "mixed")
    fail(kind, "widths=" + widths, "same or mixed", "whether every layer's codes are as wide");
  return widths == "mixed" || bits.find('.') != bits.npos;
}

/// Grids of 2, 3 and 4 bits, and of 5 where the grid has such codes; `options` are spelled out.
std::map<int, Grid> make_widths(const std::string& kind, const Axis<Grid>& axis,
                                std::string& options) {
  const std::string asked = options;
  std::map<int, Grid> grids;
  for (const int bits : {2, 3, 4, 5}) {
    Axis<Grid> one = axis;
    one.text = name_of(axis.text) + ":" + Options::with(options, "bits", std::to_string(bits));
    try {
      grids[bits] = make("grid", one, grid_table());
      options = options_of(one.text);
    } catch (const Error&) {
      if (bits == 4) throw;  // every grid has these: something else is wrong
    }
  }
  if (!grids.contains(2) || !grids.contains(3))
    fail(kind,
         Options::find(asked, "bits") ? "bits=" + *Options::find(asked, "bits") : "widths=mixed",
         "bits=4", "a mean over layers needs codes of 2, 3 and 4 bits, which this grid lacks");
  return grids;
}

template <class Value>
void make_value(const AxisEntry<Value>& entry, Assembled& made) {
  made.*entry.value = make(std::string(entry.name), made.recipe.*entry.recipe, entry.table());
}
/// The grid and, where its text mixes them, those of the other widths.
void make_value(const AxisEntry<Grid>&, Assembled& made) {
  Axis<Grid>& axis = made.recipe.grid;
  const std::string name = name_of(axis.text), kind = "grid " + name;
  const bool mixed = mixes_widths(kind, options_of(axis.text));
  std::string options = Options::without(options_of(axis.text), "widths");
  axis.text = options.empty() ? name : name + ":" + options;
  if (!mixed) {
    made.grid = make("grid", axis, grid_table());
    return;
  }
  auto& [mean, grids] = made.widths;
  Options bits(kind, "bits=" + Options::find(options, "bits").value_or("4"));
  grids = make_widths(kind, axis, options);
  mean = bits.number("bits", 4, grids.begin()->first, grids.rbegin()->first,
                     "mean bits of a code over the layers");
  made.grid = grids.at(static_cast<int>(std::ceil(mean)));
  const std::string rest = Options::without(options, "bits");
  axis.text = fmt::format("{}:bits={}{}{},widths=mixed", name, number_text(mean),
                          rest.empty() ? "" : ",", rest);
}

/// Spells `text` out in full.
Detach make_detach(std::string& text) {
  if (text == "none") return {};
  Options options("detach", text);
  Detach detach;
  detach.ratio = options.number("ratio", 0.0005, 0, 1, "share of all weights brought back");
  detach.rounds = options.integer("rounds", 2, 1, 100, "each brings back its part of them");
  options.finish();
  text = options.text();
  return detach;
}

/// A number stands for uniform codes of so many bits in groups that fast kernels read.
std::string ends_grid(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos) return text;
  return "uniform:bits=" + text + ",group=128,fit=mse";
}

/// Spells `text` out in full.
std::optional<Ends> make_ends(std::string& text) {
  if (text == "none") return {};
  Axis<Grid> axis{ends_grid(text)};
  Ends ends;
  try {
    ends.grid = make("grid", axis, grid_table());
  } catch (const Error& error) {
    throw Error("ends, " + std::string(error.what()));
  }
  if (ends.grid.needs.any() || ends.grid.gram)
    fail("ends", axis.text, "a grid that needs no statistics",
         "there are none of an embedding: say cost=equal");
  Options none("solver nearest", "");
  ends.solver = solver_table().at("nearest")(none);
  text = axis.text;
  return ends;
}

void check_inputs(const Assembled& made) {
  const std::string& inputs = made.recipe.inputs;
  if (inputs != "quantized" && inputs != "original")
    fail("recipe", "inputs " + inputs, "quantized or original");
  if (!made.overrides.inputs.empty() && !made.solve_needs().forward().any())
    fail("recipe", "--inputs " + inputs, "none", "nothing in this recipe reads a layer's inputs");
}

/// A metric serves a selector: neither does anything alone.
void check_pair(const Assembled& made) {
  if (made.metric.score && !made.selector.choose && made.detach.ratio == 0)
    fail("recipe", "metric " + made.recipe.metric.text + " with selector none",
         "a selector that uses it", "add --selector top:0.01");
  if (made.transform.fold && (!made.metric.path.empty() || made.detach.ratio > 0))
    fail("recipe", "transform " + made.recipe.transform.text + " with a look back",
         "weights that stay comparable", "say fold=0");
  if (!made.metric.score && made.detach.ratio > 0)
    fail("recipe", "detach with metric none", "a metric to choose by", "add --metric pqi");
  if (!made.metric.score && made.selector.choose)
    fail("recipe", "selector " + made.recipe.selector.text + " with metric none",
         "a metric to choose by", "add --metric gradient");
}

/// What the selector and the solver say of the grid, and whether they bear a rotation.
void check_grid(const Assembled& made) {
  if (made.selector.check) made.selector.check(made.grid);
  if (made.solver.check) made.solver.check(made.grid);
  if (made.transform.check) made.transform.check(made.grid, made.solve_needs());
  if (!made.transform.rotates) return;
  if (made.solver.keeps)
    fail("recipe", "solver " + made.recipe.solver.text + " under a rotation",
         "a solver that keeps no weights of its own",
         "kept weights are stored in the layer's own basis");
}

template <class Value>
std::vector<AxisValue> values_of(const Table<Value>& table) {
  std::vector<AxisValue> result;
  for (const auto& [name, factory] : table) {
    Options options(name, "");
    factory(options);
    result.push_back({name, options.known()});
  }
  return result;
}

}  // namespace

Recipe find_method(const std::string& name) {
  const auto found = method_table().find(name);
  if (found == method_table().end())
    fail("method", fmt::format("'{}'", name), list_text(names(method_table())));
  Recipe recipe = found->second();
  recipe.name = name;
  return recipe;
}

std::vector<Recipe> all_methods() {
  std::vector<Recipe> result;
  for (const auto& [name, method] : method_table()) result.push_back(find_method(name));
  return result;
}

Assembled assemble(Recipe recipe, const Overrides& overrides) {
  apply(overrides, recipe);
  Assembled made{.recipe = std::move(recipe), .overrides = overrides};
  for_each_axis([&](const auto& entry) { make_value(entry, made); });
  made.detach = make_detach(made.recipe.detach);
  made.ends = make_ends(made.recipe.ends);
  check_pair(made);
  check_grid(made);
  check_inputs(made);
  return made;
}

std::map<std::string, std::vector<AxisValue>> axis_values() {
  std::map<std::string, std::vector<AxisValue>> values;
  for_each_axis(
      [&](const auto& entry) { values[std::string(entry.name)] = values_of(entry.table()); });
  return values;
}

}  // namespace karat
