// YAQA: Model-Preserving Adaptive Rounding (Tseng et al., arXiv 2505.22988). QTIP's rotation and
// trellis; what is rounded later makes up for the error in the model's own distribution of tokens
// instead of the layer's output, from row to row as well as from column to column.
#include "karat/recipe.h"

namespace karat {

Recipe yaqa_method() {
  return {.summary = "qtip, feedback from rows and columns under the Hessian of the model's KL",
          .paper = "YAQA, arXiv 2505.22988",
          .transform = {"hadamard"},
          .grid = {"trellis:bits=2"},
          .solver = {"yaqa"},
          .samples = 32,
          .length = 256};
}

}  // namespace karat
