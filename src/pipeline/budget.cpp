#include "pipeline/budget.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <numeric>

#include "karat/error.h"
#include "pipeline/grids.h"
#include "recipe/axis_text.h"

namespace karat {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr Unit kUnits[] = {{"MB", 1e6}, {"MiB", 0x1p20}, {"GB", 1e9}, {"GiB", 0x1p30}};

/// A positive number at the beginning of `text`, which loses it; 0 where there is none.
double take_number(std::string_view& text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value) || value <= 0) return 0;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return value;
}

Budget read_size(const std::string& text) {
  std::string_view rest = text;
  const double value = take_number(rest);
  for (const Unit& unit : kUnits)
    if (value > 0 && rest == unit.name && value * unit.bytes < 0x1p60)
      return {.bytes = value * unit.bytes};
  fail("size", fmt::format("'{}'", text), "a number and its unit, MB, MiB, GB or GiB", "say 90MB");
}

Budget read_file_bits(const std::string& text) {
  std::string_view rest = text;
  const double value = take_number(rest);
  if (value > 0 && value <= 64 && rest.empty()) return {.bits = value};
  fail("file-bits", fmt::format("'{}'", text), "bits a parameter, above 0 and at most 64",
       "say 4.5");
}

/// The grid's own text with widths=mixed, where it has several.
std::string mixed_grid(const Axis<Grid>& axis) {
  if (!has_widths(axis)) return "this grid has one width: say --grid uniform:widths=mixed";
  const std::string rest = Options::without(options_of(axis.text), "bits");
  return fmt::format("say --grid {}:{}{}widths=mixed", name_of(axis.text), rest,
                     rest.empty() ? "" : ",");
}

}  // namespace

std::int64_t parameters_of(const Architecture& arch) {
  std::int64_t all = 0;
  for (const NamedShape& tensor : tensor_shapes(arch))
    all += std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                           std::multiplies<>());
  return all;
}

std::int64_t Budget::of(const Architecture& arch) const {
  if (bits == 0) return static_cast<std::int64_t>(bytes);
  return static_cast<std::int64_t>(bits * static_cast<double>(parameters_of(arch)) / 8);
}

std::string size_text(std::int64_t bytes) {
  return fmt::format("{:.3f}MB", std::ceil(static_cast<double>(bytes) / 1e3) / 1e3);
}

std::string budget_text(const Recipe& recipe) {
  return recipe.size != "none" ? "--size " + recipe.size : "--file-bits " + recipe.file_bits;
}

std::optional<Budget> make_budget(const Assembled& made) {
  const Recipe& recipe = made.recipe;
  const bool size = recipe.size != "none", bits = recipe.file_bits != "none";
  if (!size && !bits) return {};
  if (size && bits)
    fail("recipe", fmt::format("--size {} and --file-bits {}", recipe.size, recipe.file_bits),
         "one of them");
  const Budget budget = size ? read_size(recipe.size) : read_file_bits(recipe.file_bits);
  const Overrides& o = made.overrides;
  if (!o.bits.empty() || option_of(o.grid, "bits"))
    fail("recipe",
         fmt::format("{} and {}", budget_text(recipe),
                     o.bits.empty() ? "--grid " + o.grid : "--bits " + o.bits),
         "one of them", "a size leaves the bits of every layer to what its errors cost");
  return budget;
}

void check_budget(const Assembled& made) {
  if (!made.budget) return;
  const auto refuse = [&](const std::string& got, const std::string& expected,
                          const std::string& hint) {
    fail("recipe", budget_text(made.recipe) + " with " + got, expected, hint);
  };
  if (!made.widths.mixed())
    refuse("grid " + made.recipe.grid.text + ", of one width", "a grid of mixed widths",
           mixed_grid(made.recipe.grid));
  if (made.solver.keeps)
    refuse("solver " + made.recipe.solver.text + ", which keeps as many weights as it finds",
           "a solver whose size is known beforehand", "say outliers=0");
  if (made.selector.choose && !made.metric.path.empty())
    refuse("metric " + made.recipe.metric.text + ", which looks back on widths",
           "one that chooses before them", "say --bits");
}

}  // namespace karat
