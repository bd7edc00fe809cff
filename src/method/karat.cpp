// Karat's own recipe: rotated weights on a trellis, as in QTIP, whose sequences run down the
// columns and which decodes by table look-ups; codes as wide, layer by layer, as the Fisher
// information F says; and GPTQ's compensation. Rotated weights have no outliers that pay for their
// bytes, so none is kept unless --detach says so. Embedding and head have 6 bits: what more of them
// would save of the loss, the layers save with fewer. Many short sequences measure F better than
// few long ones. docs/results.md has the ablation.
#include "karat/recipe.h"

namespace karat {

Recipe karat_method() {
  return {
      .summary = "rotated weights on a trellis, wider codes where an error costs more, gptq",
      .paper = "Karat; trellis of QTIP, arXiv 2406.11235",
      .metric = {"fisher:key=fd"},  // for --detach
      .transform = {"hadamard"},
      .grid = {"column-trellis:bits=4,widths=mixed"},
      .solver = {"gptq"},
      .ends = "uniform:bits=6,group=128,fit=mse",
      .samples = 32,
      .length = 256,
  };
}

}  // namespace karat
