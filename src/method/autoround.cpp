// AutoRound: "Optimize Weight Rounding via Signed Gradient Descent for the Quantization of LLMs"
// (Cheng et al., arXiv 2309.05516), with the settings of the authors' tool: ranges that reach 0,
// blocks that read what the blocks tuned before them write.
#include "karat/recipe.h"

namespace karat {

Recipe autoround_method() {
  return {.summary = "learn each weight's rounding and each group's range, block by block",
          .paper = "AutoRound, arXiv 2309.05516",
          .grid = {"uniform:bits=4,group=128"},
          .tuner = {"signround:iterations=200,batch=8"},
          .samples = 128};
}

}  // namespace karat
