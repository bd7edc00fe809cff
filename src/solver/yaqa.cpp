// solver yaqa: rounds with feedback on both sides under H_O ⊗ H_I, the Hessian of the model's KL
// divergence from what it was (YAQA, arXiv 2505.22988): column after column as gptq, and within a
// column some rows after others, each making up for the errors of those before. Both factors come
// from one backward pass whose labels are drawn from the model. With H_O = I it is gptq. A grid
// that codes rows together has feedback between such parts alone: 16 rows of a trellis, and the 256
// of a column trellis, so that a layer of fewer rows has none from rows there.
#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/yaqa/two_sided.h"

namespace karat {

Solver yaqa_solver(Options& given) {
  YaqaOptions options;
  options.damp = given.number("damp", 0.1, 1e-6, 1, "share of mean(diag H_I) added to it");
  options.damp_out = given.number("damp_out", 0.1, 1e-6, 1, "the same of H_O");
  options.rows =
      given.integer("rows", 64, 1, 65536,
                    "in a part without feedback; of trellis 16 at least, column-trellis 256");
  options.act_order = given.flag("order", false, "columns by falling diag(H_I); needs static=1");
  options.static_groups = given.flag("static", options.act_order, "fit all groups beforehand");
  const std::string sketch = given.choice("sketch", "tokens", {"tokens", "sequences"},
                                          "factors from gradients of tokens, or of sequences");
  const Sketch factors = sketch == "tokens" ? Sketch::tokens : Sketch::sequences;
  const HessianChoice hessian = choose_hessian(given, factors);
  if (options.act_order && !options.static_groups)
    fail("solver yaqa", "order=1,static=0", "static=1", "reordered columns have left their group");
  return {.needs = hessian.needs | Needs{.factors = factors},
          .check = [=](const Grid& grid) { check_two_sided(grid, options); },
          .solve =
              [=](const Layer& layer, const Kept& kept, const Grid& grid) {
                return solve_two_sided(layer, {hessian.of(layer), output_hessian(layer)}, kept,
                                       grid, options);
              }};
}

}  // namespace karat
