// What plain rounding does to weights.
#pragma once

#include "karat/axes.h"

namespace karat {

/// ŵ − w of plain rounding to `grid`, [out, in].
torch::Tensor rounding_error(const Layer& layer, const Grid& grid);

/// ‖ŵ − w‖² / ‖w‖² of it; 0 where all weights are.
double relative_rounding_error(const Layer& layer, const Grid& grid);

/// The same of normal numbers, which is what weights under a rotation look like: always the same
/// ones, [256, 512].
double normal_rounding_error(const Grid& grid);

}  // namespace karat
