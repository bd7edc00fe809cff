#include "compare/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "karat/error.h"
#include "pipeline/budget.h"
#include "pipeline/fits.h"
#include "recipe/axis_text.h"

namespace karat {
namespace {

/// Assembles the recipe; an error names the row that it is about.
void assemble_plan(const Architecture& arch, RowPlan& plan) try {
  plan.made = assemble(find_method(plan.recipe.method), plan.recipe.overrides);
  const double beyond = plan.size.beyond;
  plan.size = size_of(plan.made);
  plan.size.beyond = beyond;
  plan.row.recipe = plan.made.recipe;
  plan.row.code_bits = plan.size.layout.bits;
  plan.row.predicted_bits = predicted_bits(arch, plan.size);
  if (plan.made.budget)
    plan.row.predicted_bits = 8 * static_cast<double>(plan.made.budget->of(arch)) /
                              static_cast<double>(parameters_of(arch));
} catch (const Error& error) {
  throw Error(fmt::format("compare {}, {}", plan.recipe.label, error.what()));
}

void set_grid_option(std::string& flag, std::string& grid, const char* key,
                     const std::string& value) {
  if (grid.empty()) {
    flag = value;
    return;
  }
  grid = with_option(grid, key, value);
  flag.clear();
}
void set_group(RowPlan& plan, std::int64_t group) {
  Overrides& o = plan.recipe.overrides;
  set_grid_option(o.group, o.grid, "group", std::to_string(group));
}

/// With a point, so that it is a mean whatever the grid's text says of widths.
void set_mean(RowPlan& plan, double mean) {
  Overrides& o = plan.recipe.overrides;
  set_grid_option(o.bits, o.grid, "bits", fmt::format("{:.2f}", mean));
}

void set_ratio(RowPlan& plan, double ratio) {
  Overrides& o = plan.recipe.overrides;
  const std::string text = number_text(ratio);
  if (plan.made.detach.ratio > 0) {
    o.detach = ratio > 0 ? Options::with(plan.row.recipe.detach, "ratio", text) : "none";
    return;
  }
  o.selector = with_option(plan.row.recipe.selector.text, "ratio", text);
  o.ratio.clear();
}

/// Chooses the mean of mixed widths. Nothing left to choose unless even the widest leave room.
bool fit_mean(const Architecture& arch, double target, RowPlan& plan, TooLarge& too_large) {
  const int widest = plan.made.widths.grids.rbegin()->first;
  StoredSize none = plan.size;
  none.ratio = 0;
  if (plan.made.widths.mean == widest && predicted_bits(arch, none) <= target) return false;
  const auto mean = mean_for(arch, plan.size, target);
  if (!mean) {
    StoredSize least = plan.size;
    least.mean_bits = least.layout.bits = plan.made.widths.grids.begin()->first;
    too_large = predicted_bits(arch, least);
    return true;
  }
  if (*mean != plan.made.widths.mean) {
    set_mean(plan, *mean);
    assemble_plan(arch, plan);
  }
  return *mean < widest;
}

/// Plain rounding with codes as wide, in groups that take at most `bits` per weight.
RowPlan uniform_plan(const Architecture& arch, std::int64_t code_bits, std::int64_t group) {
  RowPlan plan{.recipe = {.label = "uniform", .method = "rtn"}};
  plan.recipe.overrides.grid = fmt::format("uniform:bits={},group={}", code_bits, group);
  assemble_plan(arch, plan);
  plan.row.kind = CompareRow::Kind::uniform;
  plan.row.name = group > 0 ? fmt::format("uniform {} bits g{}", code_bits, group)
                            : fmt::format("uniform {} bits rows", code_bits);
  return plan;
}

bool same_axes(const Recipe& a, const Recipe& b) {
  return axes_text(a) == axes_text(b);
}

}  // namespace

std::vector<RowPlan> plan_rows(const Architecture& arch,
                               const std::vector<CompareRecipe>& recipes) {
  std::vector<RowPlan> plans;
  for (const CompareRecipe& recipe : recipes) {
    RowPlan plan{.recipe = recipe};
    assemble_plan(arch, plan);
    check_fits(arch, plan.made);
    plan.row.name = plan.made.budget
                        ? fmt::format("{} {}", recipe.label, budget_text(plan.row.recipe))
                        : fmt::format("{} {} bits", recipe.label, plan.row.code_bits);
    for (const RowPlan& other : plans)
      if (other.row.name == plan.row.name)
        fail("compare", fmt::format("two recipes called {}", plan.row.name), "one of a name",
             "give them labels with --recipe label=…");
    plans.push_back(std::move(plan));
  }
  if (plans.empty()) fail("compare", "no recipe", "at least one");
  return plans;
}

TooLarge fit_to(const Architecture& arch, double target, RowPlan& plan) {
  if (plan.made.budget) {
    plan.row.note = "its files have a size of their own";
    return {};
  }
  TooLarge too_large;
  if (plan.made.widths.mean > 0 && fit_mean(arch, target, plan, too_large)) return too_large;
  const bool grouped = option_of(plan.row.recipe.grid.text, "group").has_value();
  const bool kept = plan.made.detach.ratio > 0 || option_of(plan.row.recipe.selector.text, "ratio");
  StoredSize least = plan.size;
  if (grouped) {
    if (const auto group = group_for(arch, plan.size, target)) {
      set_group(plan, *group);
      assemble_plan(arch, plan);
      return {};
    }
    least.layout.group = 0;
  } else if (kept) {
    if (const auto ratio = ratio_for(arch, plan.size, target)) {
      set_ratio(plan, *ratio);
      assemble_plan(arch, plan);
      return {};
    }
    least.ratio = 0;
  } else {
    plan.row.note = "nothing sets its size but its bits";
    return {};
  }
  return predicted_bits(arch, least);
}

double equalize(const Architecture& arch, const std::optional<double>& wanted,
                std::vector<RowPlan>& plans) {
  double target = wanted.value_or(0);
  if (!wanted)
    for (const RowPlan& plan : plans) target = std::max(target, plan.row.predicted_bits);
  for (RowPlan& plan : plans)
    if (const TooLarge least = fit_to(arch, target, plan))
      fail("compare " + plan.row.name, fmt::format("{:.3f} bits per weight at least", *least),
           fmt::format("at most {:.3f}", target), "lower its --bits or raise --target-bits");
  return target;
}

std::vector<RowPlan> plan_uniform(const Architecture& arch, std::vector<RowPlan>& plans) {
  std::vector<RowPlan> added;
  for (RowPlan& plan : plans) {
    if (plan.made.budget) continue;  // no width is its own
    const PackedLayout& own = plan.size.layout;
    if (same_axes(plan.row.recipe, uniform_plan(arch, own.bits, own.group).row.recipe)) continue;
    const double bits = plan.row.runs.empty() ? plan.row.predicted_bits : plan.row.bits().mean;
    const StoredSize plain{.layout = {.bits = own.bits, .group = own.group}};
    const auto group = group_for(arch, plain, bits);
    RowPlan uniform = uniform_plan(arch, own.bits, group.value_or(0));
    if (!group && plan.row.note.empty()) plan.row.note = "smaller than any plain rounding";
    const auto find_in = [&](const std::vector<RowPlan>& list) {
      return std::find_if(list.begin(), list.end(), [&](const RowPlan& other) {
        return same_axes(other.row.recipe, uniform.row.recipe);
      });
    };
    const auto row = find_in(plans), seen = find_in(added);
    plan.row.uniform = row != plans.end()    ? row->row.name
                       : seen != added.end() ? seen->row.name
                                             : uniform.row.name;
    if (row == plans.end() && seen == added.end()) added.push_back(std::move(uniform));
  }
  return added;
}

}  // namespace karat
