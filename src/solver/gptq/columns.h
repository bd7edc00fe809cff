// GPTQ's walk over the columns of a layer.
#pragma once

#include "karat/axes.h"

namespace karat {

struct GptqOptions {
  double damp = 0;         // share of mean(diag H) added to it
  bool act_order = false;  // columns by falling diag H
  bool static_groups = false;
  double outliers = 0;  // SpQR's relative threshold; 0: none are looked for
};

/// Throws Error when the options and the grid do not go together.
void check_columns(const Grid& grid, const GptqOptions& options);
/// Rounds W [out, in] against the Hessian [in, in] of its rows' error, Grid::block columns at a
/// time.
Solution solve_columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                       const Grid& grid, const GptqOptions& options);

}  // namespace karat
