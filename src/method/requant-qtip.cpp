// ReQuant around QTIP: rotated weights have no outliers to keep, so all of the budget goes to the
// end: 0.5 % of the weights brought back in two rounds, those whose post-quantization integral is
// largest in the whole model (Hu et al., arXiv 2503.01901). What is stored of them is a residual in
// the layer's own basis; the trellis stays as it is.
#include "karat/recipe.h"

namespace karat {

Recipe requant_qtip_method() {
  return {
      .summary = "QTIP, then the weights brought back whose errors cost most",
      .paper = "ReQuant, arXiv 2503.01901",
      .metric = {"pqi"},
      .transform = {"hadamard"},
      .grid = {"trellis:bits=2"},
      .solver = {"gptq:damp=0.01"},
      .detach = "0.005,rounds=2",
      .samples = 100,
  };
}

}  // namespace karat
