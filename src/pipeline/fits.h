// Whether a recipe can be stored at all, known before any pass.
#pragma once

#include <map>

#include "karat/recipe.h"

namespace karat {

/// How the recipe's layers will be laid out, found by storing a small matrix through its grid.
PackedLayout layout_of(const Assembled& recipe);
/// Those that a layer may get, and an end: of all widths where they are mixed.
using Layouts = std::map<int, PackedLayout>;  // by bits of a code
Layouts layer_layouts(const Assembled& recipe);
Layouts end_layouts(const Ends& ends);

/// A layer whose statistics are all alike.
Layer plain_layer(const torch::Tensor& weight);

/// Throws Error naming the first layer that the file format cannot hold: its sizes under a
/// rotation, or more inputs than kept weights can point at.
void check_fits(const Architecture& arch, const Assembled& recipe);

}  // namespace karat
