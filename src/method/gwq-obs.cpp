// GWQ (arXiv 2411.00850) with the error compensation of SpQR (arXiv 2306.03078): the gradient still
// chooses what stays at FP16, and the columns after a rounded one make up for its error. The fair
// rival of SpQR, which chooses by the Hessian.
#include "karat/recipe.h"

namespace karat {

Recipe gwq_obs_method() {
  return {.summary = "gwq, with later columns making up for rounding errors",
          .paper = "GWQ, arXiv 2411.00850; compensation of SpQR, arXiv 2306.03078",
          .metric = {"gradient:key=g"},
          .selector = {"top:ratio=0.01,scope=matrix"},
          .grid = {"uniform:bits=3,group=16,bilevel=1"},
          .solver = {"gptq:damp=0.01"},
          .samples = 16};
}

}  // namespace karat
