// Karat's own recipe: rotated weights on a trellis, as in QTIP but of 2^12 states, so that a
// billion weights take minutes; codes as wide, layer by layer, as the Fisher information F says;
// GPTQ's compensation; and what still costs most after all that, F·Δ² with the Δ that came out,
// goes back to FP16. Many short sequences measure F better than few long ones. docs/results.md has
// the ablation.
#include "karat/recipe.h"

namespace karat {

Recipe karat_method() {
  return {
      .summary = "rotated weights on a trellis, wider codes in dear layers, gptq, then outliers",
      .paper = "Karat; trellis of QTIP, arXiv 2406.11235",
      .metric = {"fisher:key=fd"},
      .transform = {"hadamard"},
      .grid = {"trellis:bits=4,code=1mad12,widths=mixed"},
      .solver = {"gptq"},
      .detach = "0.0005,rounds=1",
      .samples = 32,
      .length = 256,
  };
}

}  // namespace karat
