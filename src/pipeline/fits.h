// Whether a recipe can be stored at all, known before any pass.
#pragma once

#include "karat/recipe.h"

namespace karat {

/// How the recipe's layers will be laid out, found by storing a small matrix through its grid.
PackedLayout layout_of(const Assembled& recipe);

/// Throws Error naming the first layer that the file format cannot hold: its sizes under a
/// rotation, or more inputs than kept weights can point at.
void check_fits(const Architecture& arch, const Assembled& recipe);

}  // namespace karat
