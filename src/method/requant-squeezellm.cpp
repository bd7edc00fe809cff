// ReQuant around SqueezeLLM: tables by Fisher-weighted k-means, then again with the 0.45 % largest
// weights kept, the share of each layer by its post-quantization integral, and at the end 0.05 % of
// the weights brought back in two rounds, those of largest integral in the whole model (Hu et al.,
// arXiv 2503.01901).
#include "karat/recipe.h"

namespace karat {

Recipe requant_squeezellm_method() {
  return {
      .summary = "SqueezeLLM's tables; who is kept follows from the loss along the way to them",
      .paper = "ReQuant, arXiv 2503.01901",
      .metric = {"pqi"},
      .selector = {"adaptive:ratio=0.0045"},
      .grid = {"lut:bits=4,cost=fisher"},
      .detach = "0.0005,rounds=2",
      .samples = 100,
  };
}

}  // namespace karat
