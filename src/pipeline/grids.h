// The grids of a recipe, one or, where widths are mixed, one for each width.
#pragma once

#include <functional>

#include "karat/recipe.h"

namespace karat {

/// Makes `grid`, and `widths` where the grid's text or the budget mixes them; spells the text out.
void make_grids(Assembled& made);
/// Makes `ends`, of all widths where a budget chooses among them: where the text says widths=mixed,
/// and where it is the method's own.
void make_ends(Assembled& made);
/// Adds wider codes than the grid has: the plainest that there are, of up to 8 bits, which `check`
/// does not throw on.
void widen(Assembled& made, const std::function<void(const Grid& grid)>& check);

/// Whether a grid has codes of several widths.
bool has_widths(const Axis<Grid>& axis);

}  // namespace karat
