// Lookup tables by least squares (LNQ, GuidedQuant, arXiv 2505.07004).
#pragma once

#include "karat/axes.h"

namespace karat {

/// Grid::refit of tables [rows, size], ascending and exact in FP16 as before. A row whose table
/// would not gain keeps it, and so does a value that no code of the row stands for.
void refit_tables(const Slab& slab, const torch::Tensor& slope, torch::Tensor& codes,
                  torch::Tensor& tables);

}  // namespace karat
