// Karat's own recipe: rotated weights on a trellis, as in QTIP but of 2^12 states, so that a
// billion weights take minutes; GPTQ's compensation; and what still costs most after all that, F·Δ²
// with the Δ that came out and F the Fisher information, goes back to FP16. Many short sequences
// measure F better than few long ones. docs/results.md has the ablation.
#include "karat/recipe.h"

namespace karat {

Recipe karat_method() {
  return {
      .summary = "rotated weights on a trellis, gptq, then the dearest errors back to FP16",
      .paper = "Karat; trellis of QTIP, arXiv 2406.11235",
      .metric = {"fisher:key=fd"},
      .transform = {"hadamard"},
      .grid = {"trellis:bits=4,code=1mad12"},
      .solver = {"gptq"},
      .detach = "0.005,rounds=1",
      .samples = 32,
      .length = 256,
  };
}

}  // namespace karat
