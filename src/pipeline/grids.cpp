#include "pipeline/grids.h"

#include <fmt/format.h>

#include <cmath>

#include "karat/error.h"
#include "pipeline/make_axis.h"

namespace karat {
namespace {

constexpr int kLeastBits = 2, kMostBits = 8;
constexpr int kMostMean = 5;  // bits of a layer's codes where their mean is given

/// Whether the options of a grid's text ask for different widths.
bool mixes_widths(const std::string& kind, const std::string& options) {
  const std::string bits = Options::find(options, "bits").value_or("4");
  const std::string widths = Options::find(options, "widths").value_or("same");
  if (widths != "same" && widths != "mixed")
    fail(kind, "widths=" + widths, "same or mixed", "whether every layer's codes are as wide");
  return widths == "mixed" || bits.find('.') != bits.npos;
}

/// Grids of 2, 3 and 4 bits, and of up to `most` where the grid has such codes; `options` are
/// spelled out.
std::map<int, Grid> make_widths(const std::string& kind, const Axis<Grid>& axis,
                                std::string& options, int most) {
  const std::string asked = options;
  std::map<int, Grid> grids;
  for (int bits = kLeastBits; bits <= most; ++bits) {
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
         "bits=4", "mixed widths need codes of 2, 3 and 4 bits, which this grid lacks");
  return grids;
}

/// Grids of all widths; the text says so, and no bits.
std::map<int, Grid> make_all_widths(const std::string& kind, Axis<Grid>& axis) {
  std::string options = Options::without(Options::without(options_of(axis.text), "widths"), "bits");
  std::map<int, Grid> grids = make_widths(kind, axis, options, kMostBits);
  const std::string rest = Options::without(options, "bits");
  axis.text = fmt::format("{}:{}{}widths=mixed", name_of(axis.text), rest, rest.empty() ? "" : ",");
  return grids;
}

/// Those of a mean, which the text says.
void make_mean(const std::string& kind, Assembled& made) {
  Axis<Grid>& axis = made.recipe.grid;
  std::string options = Options::without(options_of(axis.text), "widths");
  auto& [mean, grids] = made.widths;
  Options bits(kind, "bits=" + Options::find(options, "bits").value_or("4"));
  grids = make_widths(kind, axis, options, kMostMean);
  mean = bits.number("bits", 4, grids.begin()->first, grids.rbegin()->first,
                     "mean bits of a code over the layers");
  made.grid = grids.at(static_cast<int>(std::ceil(mean)));
  const std::string rest = Options::without(options, "bits");
  axis.text = fmt::format("{}:bits={}{}{},widths=mixed", name_of(axis.text), number_text(mean),
                          rest.empty() ? "" : ",", rest);
}

/// Codes of so many bits in groups that fast kernels read.
std::string plain_grid(const std::string& bits) {
  return "uniform:bits=" + bits + ",group=128,fit=mse";
}

/// A number stands for such codes.
std::string ends_grid(const std::string& text) {
  const bool number = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  return number ? plain_grid(text) : text;
}

void check_end(const Grid& grid, const std::string& text) {
  if (grid.needs.any() || grid.gram)
    fail("ends", text, "a grid that needs no statistics",
         "there are none of an embedding: say cost=equal");
}

}  // namespace

void make_grids(Assembled& made) {
  Axis<Grid>& axis = made.recipe.grid;
  const std::string name = name_of(axis.text), kind = "grid " + name;
  if (!mixes_widths(kind, options_of(axis.text))) {
    const std::string options = Options::without(options_of(axis.text), "widths");
    axis.text = options.empty() ? name : name + ":" + options;
    made.grid = make("grid", axis, grid_table());
  } else if (made.budget) {
    made.widths.grids = make_all_widths(kind, axis);
    made.grid = made.widths.grids.at(4);
  } else {
    make_mean(kind, made);
  }
}

void make_ends(Assembled& made) {
  std::string& text = made.recipe.ends;
  if (text == "none") return;
  Axis<Grid> axis{ends_grid(text)};
  const bool asked = mixes_widths("ends", options_of(axis.text));
  if (asked && !made.budget)
    fail("ends", text, "one width", "--size or --file-bits chooses among those of widths=mixed");
  Ends& ends = made.ends.emplace();
  try {
    if (made.budget && (asked || made.overrides.ends.empty())) {
      ends.grids = make_all_widths("grid " + name_of(axis.text), axis);
      ends.grid = ends.grids.at(4);
    } else {
      ends.grid = make("grid", axis, grid_table());
    }
  } catch (const Error& error) {
    throw Error("ends, " + std::string(error.what()));
  }
  check_end(ends.grid, axis.text);
  for (const auto& [bits, grid] : ends.grids) check_end(grid, axis.text);
  Options none("solver nearest", "");
  ends.solver = solver_table().at("nearest")(none);
  text = axis.text;
}

void widen(Assembled& made, const std::function<void(const Grid& grid)>& check) {
  for (int bits = made.widths.grids.rbegin()->first + 1; bits <= kMostBits; ++bits) try {
      Axis<Grid> axis{plain_grid(std::to_string(bits))};
      const Grid grid = make("grid", axis, grid_table());
      check(grid);
      made.widths.grids[bits] = grid;
    } catch (const Error&) {
      // There are no such codes, or an axis does not bear them.
    }
}

bool has_widths(const Axis<Grid>& axis) try {
  Axis<Grid> all = axis;
  make_all_widths("grid", all);
  return true;
} catch (const Error&) {
  return false;
}

}  // namespace karat
