// solver gptq: rounds column after column and lets the columns still to come make up for the error
// in the layer's output (GPTQ, arXiv 2210.17323). Groups are fitted on entering them, to weights
// already moved, or all beforehand (static). Columns go from left to right or, as in act-order, by
// falling diagonal of H, which needs static groups. A grid that rounds several columns together
// gets them together (block-LDLQ, QuIP#, arXiv 2402.04396). Kept weights have no error and keep
// their moved value; `outliers` finds more of them on the way (SpQR, arXiv 2306.03078).
#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/gptq/columns.h"

namespace karat {

Solver gptq_solver(Options& given) {
  GptqOptions options;
  options.damp = given.number("damp", 0.01, 1e-6, 1, "share of mean(diag H) added to it");
  options.act_order = given.flag("order", false, "columns by falling diag(H); needs static=1");
  options.static_groups = given.flag("static", options.act_order, "fit all groups beforehand");
  options.outliers = given.number("outliers", 0, 0, 1e6, "SpQR's threshold; 0: keep no more");
  const HessianChoice hessian = choose_hessian(given);
  if (options.act_order && !options.static_groups)
    fail("solver gptq", "order=1,static=0", "static=1", "reordered columns have left their group");
  return {.needs = hessian.needs,
          .keeps = options.outliers > 0,
          .check = [=](const Grid& grid) { check_columns(grid, options); },
          .solve =
              [=](const Layer& layer, const Kept& kept, const Grid& grid) {
                return solve_columns(layer, hessian.of(layer), kept, grid, options);
              }};
}

}  // namespace karat
