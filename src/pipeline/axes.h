// The axes, each with its place in the structs that have one of each. A new axis is a folder of
// src/, a type in karat/axes.h, a member of Recipe, Overrides and Assembled, and a line here.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>

#include "karat/recipe.h"

namespace karat {

template <class Value>
using Table = std::map<std::string, Value (*)(Options&)>;
// Written by cmake/registry.cmake from the file names.
const Table<Metric>& metric_table();
const Table<Selector>& selector_table();
const Table<Transform>& transform_table();
const Table<Grid>& grid_table();
const Table<Solver>& solver_table();
const Table<Tuner>& tuner_table();

template <class Value>
struct AxisEntry {
  std::string_view name;  // its folder, its flag, its key in reports
  std::string_view help;  // of the flag
  const Table<Value>& (*table)();
  Axis<Value> Recipe::*recipe;
  std::string Overrides::*changed;
  Value Assembled::*value;
};
inline constexpr std::tuple kAxes{
    AxisEntry<Metric>{"metric", "What an error in a weight costs: gradient:key=gw", metric_table,
                      &Recipe::metric, &Overrides::metric, &Assembled::metric},
    AxisEntry<Selector>{"selector", "Who stays at FP16: top:0.01,scope=row", selector_table,
                        &Recipe::selector, &Overrides::selector, &Assembled::selector},
    AxisEntry<Transform>{"transform", "In which basis a layer is quantized: scale", transform_table,
                         &Recipe::transform, &Overrides::transform, &Assembled::transform},
    AxisEntry<Grid>{"grid", "Which values the others may take: uniform:bits=3,group=16,bilevel=1",
                    grid_table, &Recipe::grid, &Overrides::grid, &Assembled::grid},
    AxisEntry<Solver>{"solver", "Which of them each weight takes: gptq:damp=0.01", solver_table,
                      &Recipe::solver, &Overrides::solver, &Assembled::solver},
    AxisEntry<Tuner>{"tuner",
                     "What is learned afterwards: signround:iterations=200, block-ap+e2e-qp",
                     tuner_table, &Recipe::tuner, &Overrides::tuner, &Assembled::tuner},
};

/// Calls `visit` with each AxisEntry.
template <class Visit>
void for_each_axis(const Visit& visit) {
  std::apply([&](const auto&... axis) { (visit(axis), ...); }, kAxes);
}

/// A flag for one option of an axis.
struct Shortcut {
  std::string_view option, axis;  // the flag has the option's name
  std::string_view help;
  std::string Overrides::*changed;
};
inline constexpr Shortcut kShortcuts[] = {
    {"bits", "grid", "Bits of a code: the grid's `bits`; with a point, their mean over layers",
     &Overrides::bits},
    {"group", "grid", "Inputs that share statistics: the grid's `group`", &Overrides::group},
    {"ratio", "selector", "Share kept at FP16: the selector's `ratio`", &Overrides::ratio},
    {"iterations", "tuner", "Steps of each block, or of the model: the tuner's `iterations`",
     &Overrides::iterations},
};

/// What a recipe says besides its axes.
struct RecipeText {
  std::string_view name, help;
  RecipeFlag::Kind kind;
  std::string Recipe::*recipe;
  std::string Overrides::*changed;
};
inline constexpr RecipeText kTexts[] = {
    {"inputs", "Layers see inputs from the blocks as quantized or as original",
     RecipeFlag::Kind::sweep, &Recipe::inputs, &Overrides::inputs},
    {"detach", "Bring weights back to FP16 afterwards: 0.0005,rounds=2", RecipeFlag::Kind::step,
     &Recipe::detach, &Overrides::detach},
    {"ends", "Grid of embedding and head, or bits in groups of 128: 8, lut:bits=4; none",
     RecipeFlag::Kind::step, &Recipe::ends, &Overrides::ends},
    {"size", "The weight files' size, 90MB (MB, MiB, GB, GiB): widths that lose least within it",
     RecipeFlag::Kind::budget, &Recipe::size, &Overrides::size},
    {"file-bits", "The same in bits a parameter of the whole model: 4.5", RecipeFlag::Kind::budget,
     &Recipe::file_bits, &Overrides::file_bits},
};

}  // namespace karat
