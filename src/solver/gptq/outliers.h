// SpQR's outliers (arXiv 2306.03078): weights that cost their group too much.
#pragma once

#include "karat/axes.h"

namespace karat {

/// τ·mean over the weights of Var(W_:j)·cost_j: what `relative` = τ means for the weights [out, in]
/// of a layer, an error in column j costing cost_j [1, in] times its square. One row alone has no
/// variance: NaN, which no gain exceeds.
double outlier_threshold(double relative, const torch::Tensor& weight, const torch::Tensor& cost);

/// By how much Σ cost·(ŵ − w)² of the slab's rows falls when a weight takes part neither in the
/// range nor in the sum: [rows, n], for each weight alone. The range is the grid's fit_rows. `cost`
/// [1, n] is what an error costs the layer, not what the fit weighs it by (Slab::cost).
torch::Tensor leave_one_out_gain(const Slab& slab, const torch::Tensor& cost, const Grid& grid);

}  // namespace karat
