// The rows of a comparison before they run: what they will take, and how they are made as large as
// each other.
#pragma once

#include <optional>
#include <vector>

#include "compare/sizes.h"
#include "karat/compare.h"

namespace karat {

/// A row that waits for its turn.
struct RowPlan {
  CompareRecipe recipe = {};
  Assembled made = {};
  StoredSize size = {};
  CompareRow row = {};
};

/// A row for each recipe. Throws on none, and on two of one name.
std::vector<RowPlan> plan_rows(const Architecture& arch, const std::vector<CompareRecipe>& recipes);

/// Bits that a plan takes at least, whatever its group or its kept weights, where those are more
/// than the target.
using TooLarge = std::optional<double>;

/// Chooses what sets the recipe's size, the mean of mixed widths, its grid's group or, without one,
/// how many weights are kept, so that it comes closest to the target from below. Leaves a plan too
/// large as it is.
TooLarge fit_to(const Architecture& arch, double target, RowPlan& plan);

/// Fits every recipe to the target, or else to the largest; returns the target.
double equalize(const Architecture& arch, const std::optional<double>& wanted,
                std::vector<RowPlan>& plans);

/// Names in every row the plain rounding of its size, and returns those that are not rows already.
std::vector<RowPlan> plan_uniform(const Architecture& arch, std::vector<RowPlan>& plans);

}  // namespace karat
