// GWQ: Gradient-Aware Weight Quantization for Large Language Models (Shao et al., arXiv
// 2411.00850). The 1 % of each matrix with the largest |∂loss/∂w| on one calibration sequence stay
// at FP16; the rest is rounded on a grid that they no longer stretch. The abstract fixes no grid:
// SpQR's 3-bit groups of 16 with two-level statistics are the reading that meets its "below 4 bits"
// (3.945).
#include "karat/recipe.h"

namespace karat {

Recipe gwq_method() {
  return {.summary = "keep the 1 % of weights with the largest gradients, round the rest",
          .paper = "GWQ, arXiv 2411.00850",
          .metric = {"gradient:key=g"},
          .selector = {"top:ratio=0.01,scope=matrix"},
          .grid = {"uniform:bits=3,group=16,bilevel=1"}};
}

}  // namespace karat
