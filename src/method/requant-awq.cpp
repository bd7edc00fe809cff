// ReQuant around AWQ: quantize, ask the post-quantization integral which layers lost most, and
// quantize again with the 0.25 % largest weights kept at FP16, more of them where more was lost (Hu
// et al., arXiv 2503.01901). Groups of 256 instead of 128 pay for them. Scales are stored beside
// the layers: folded into the layer before, weights before and after could not be compared.
#include "karat/recipe.h"

namespace karat {

Recipe requant_awq_method() {
  return {
      .summary = "AWQ, then again with outliers where the loss along the way says they matter",
      .paper = "ReQuant, arXiv 2503.01901",
      .metric = {"pqi"},
      .selector = {"adaptive:ratio=0.0025"},
      .transform = {"scale:fold=0"},
      .grid = {"uniform:bits=4,group=256,fit=mse,cost=activation,rounds=0"},
      .samples = 100,
  };
}

}  // namespace karat
