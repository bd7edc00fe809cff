// A layer and its statistics in another basis.
#pragma once

#include "karat/axes.h"

namespace karat {

/// W/m and what was measured of W, as it would have been measured of W/m with inputs m∘x. With a
/// rotation R_out (W/m) R_inᵀ; then statistics of single weights and inputs, which do not rotate
/// with it, are undefined.
Layer in_basis(const Layer& layer, const Basis& basis);

}  // namespace karat
