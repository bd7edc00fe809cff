// From a method's name and the caller's overrides to the functions that will run.
#include <fmt/format.h>

#include "karat/error.h"
#include "pipeline/budget.h"
#include "pipeline/grids.h"
#include "pipeline/make_axis.h"
#include "recipe/axis_text.h"

namespace karat {

const std::map<std::string, Recipe (*)()>& method_table();  // cmake/registry.cmake writes it

namespace {

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

template <class Value>
void make_value(const AxisEntry<Value>& entry, Assembled& made) {
  made.*entry.value = make(std::string(entry.name), made.recipe.*entry.recipe, entry.table());
}
void make_value(const AxisEntry<Grid>&, Assembled& made) {
  make_grids(made);
}
void append_tuner(Tuner& all, Tuner&& next, const std::string& text) {
  const bool first = all.in_turn.empty();
  if (!first && (next.in_turn.empty() || (all.learns(true) && next.learns(false))))
    fail("recipe", "tuner " + text, "what learns of blocks, then what learns of the whole model");
  all.needs = all.needs | next.needs;
  all.rotated = next.rotated && (first || all.rotated);
  all.kept = all.kept || next.kept;
  all.check = [former = std::move(all.check), check = std::move(next.check)](const Grid& grid) {
    if (former) former(grid);
    if (check) check(grid);
  };
  for (Tuning& one : next.in_turn) all.in_turn.push_back(std::move(one));
}
void make_value(const AxisEntry<Tuner>& entry, Assembled& made) {
  Axis<Tuner>& axis = made.recipe.tuner;
  std::string spelled;
  for (const std::string& link : links_of(axis.text)) {
    Axis<Tuner> one{link, axis.own};
    append_tuner(made.tuner, make(std::string(entry.name), one, entry.table()), axis.text);
    if (!spelled.empty()) spelled += '+';
    spelled += one.text;
  }
  axis.text = spelled;
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
  if (made.tuner.kept && !made.selector.choose && !made.solver.keeps)
    fail("recipe", "tuner " + made.recipe.tuner.text + " where nothing is kept",
         "a selector that keeps weights", "say --method owq");
  if (!made.metric.score && made.detach.ratio > 0)
    fail("recipe", "detach with metric none", "a metric to choose by", "add --metric pqi");
  if (!made.metric.score && made.selector.choose)
    fail("recipe", "selector " + made.recipe.selector.text + " with metric none",
         "a metric to choose by", "add --metric gradient");
}

/// What the other axes say of a grid.
void check_grid(const Assembled& made, const Grid& grid) {
  if (made.selector.check) made.selector.check(grid);
  if (made.solver.check) made.solver.check(grid);
  if (made.tuner.check) made.tuner.check(grid);
  if (made.transform.check) made.transform.check(grid, made.solve_needs());
}

void check_grids(const Assembled& made) {
  check_grid(made, made.grid);
  for (const auto& [bits, grid] : made.widths.grids) check_grid(made, grid);
  if (!made.transform.rotates) return;
  if (!made.tuner.in_turn.empty() && !made.tuner.rotated)
    fail("recipe", "tuner " + made.recipe.tuner.text + " under a rotation",
         "a transform that leaves the layer's basis", "say --transform none or --tuner none");
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
  made.budget = make_budget(made);
  for_each_axis([&](const auto& entry) { make_value(entry, made); });
  made.detach = make_detach(made.recipe.detach);
  make_ends(made);
  check_pair(made);
  check_grids(made);
  check_budget(made);
  if (made.budget) widen(made, [&](const Grid& grid) { check_grid(made, grid); });
  check_inputs(made);
  return made;
}

Needs Assembled::widths_needs() const {
  Needs needs{.fisher = widths.mixed(), .ends = ends && !ends->grids.empty()};
  if (!transform.rotates)  // under a rotation normal numbers are rounded, and no layer
    for (const auto& [bits, grid] : widths.grids) needs = needs | grid.needs;
  return needs;
}

std::map<std::string, std::vector<AxisValue>> axis_values() {
  std::map<std::string, std::vector<AxisValue>> values;
  for_each_axis(
      [&](const auto& entry) { values[std::string(entry.name)] = values_of(entry.table()); });
  return values;
}

}  // namespace karat
