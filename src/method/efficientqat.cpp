// EfficientQAT (Chen et al., arXiv 2407.11062): all weights of a block and the scales and zeros of
// its groups are trained against the original block's outputs, then all scales end to end. Rates
// and steps are for hundreds of sequences, not the paper's 4096.
#include "karat/recipe.h"

namespace karat {

Recipe efficientqat_method() {
  return {.summary = "train weights, scales and zeros of each block, then all scales end to end",
          .paper = "EfficientQAT, arXiv 2407.11062",
          .grid = {"uniform:bits=2,group=64"},
          .tuner = {"block-ap:iterations=256,batch=8+e2e-qp:iterations=64"},
          .samples = 128};
}

}  // namespace karat
