// OWQ: Outlier-Aware Weight Quantization (Lee et al., arXiv 2306.02272). The input columns where
// rounding costs the layer's output most, Hjj·‖Δw_j‖², stay at FP16, go last in GPTQ's order and
// take up what error the others leave. 0.77 % of columns in place of 3-bit codes make 3.1 bits in
// the paper's count, 3 + 0.0077·(16 − 3); the overlay here takes 32 bits a kept weight and leaves
// its code where it is, so a file has 3.25 and the statistics of its rows.
#include "karat/recipe.h"

namespace karat {

Recipe owq_method() {
  return {
      .summary = "keep the input columns where rounding costs the output most, gptq for the rest",
      .paper = "OWQ, arXiv 2306.02272",
      .metric = {"hessian:key=diag"},
      .selector = {"columns:ratio=0.0077"},
      .grid = {"uniform:bits=3,group=0,fit=mse"},
      .solver = {"gptq:static=1"},
      .samples = 16,
  };
}

}  // namespace karat
