// The scale of a row whose values suit numbers of one deviation.
#pragma once

#include "karat/axes.h"

namespace karat {

/// {scale [rows, 1]}: the root mean square of each row's weights that are not kept, divided by
/// `deviation` and rounded to FP16; 0 where all are 0.
GridParams fit_row_scale(const Slab& slab, double deviation);

}  // namespace karat
