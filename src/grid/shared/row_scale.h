// The scale of a row whose values suit numbers of one deviation.
#pragma once

#include "karat/axes.h"

namespace karat {

/// {scale [rows, 1]}: the root mean square of each row's weights that are not kept, divided by
/// `deviation` and rounded to FP16; 0 where all are 0.
GridParams fit_row_scale(const Slab& slab, double deviation);

/// Grid::rescale of a grid whose scales are stored as FP16. Those above 0 stay above it.
GridParams rescaled(const GridParams& params, const torch::Tensor& scale);

/// Stores a solution whose only parameters are such scales; `decoded` [out, in] is what its codes
/// stand for.
Stored store_row_scaled(const std::string& name, const PackedLayout& layout,
                        const Solution& solution, torch::Tensor decoded);

}  // namespace karat
