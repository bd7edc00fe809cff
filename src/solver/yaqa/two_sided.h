// Rounding with feedback from columns and rows.
#pragma once

#include "karat/axes.h"

namespace karat {

struct YaqaOptions {
  double damp = 0, damp_out = 0;  // shares of mean(diag) added to the factors
  std::int64_t rows = 1;          // rounded without feedback from one another
  bool act_order = false;         // columns by falling diagonal
  bool static_groups = false;
};

/// Factors of the Hessian of an error Δ [out, in], tr(H_O Δ H_I Δᵀ).
struct TwoHessians {
  torch::Tensor inputs, outputs;  // [in, in], [out, out]
};

/// Throws Error when the options and the grid do not go together.
void check_two_sided(const Grid& grid, const YaqaOptions& options);
/// Rounds W [out, in], Grid::block columns and options.rows rows, or a multiple of Grid::rows, at a
/// time. Kept weights have no error of their own: they take the value that their turn asks for.
Solution solve_two_sided(const Layer& layer, const TwoHessians& hessian, const Kept& kept,
                         const Grid& grid, const YaqaOptions& options);

}  // namespace karat
