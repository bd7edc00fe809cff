// Karat's own recipe: what an error costs is the Fisher information, everywhere. Ranges are those
// that cost least, not min-max, with statistics of their own few bits; GPTQ's compensation does the
// rest; and what still costs most after all that, F·Δ² with the Δ that came out, goes back to FP16.
// Many short sequences measure the Fisher information better than few long ones. docs/results.md
// has the ablation.
#include "karat/recipe.h"

namespace karat {

Recipe karat_method() {
  return {
      .summary = "ranges of least Fisher-weighted error, gptq, then the dearest errors to FP16",
      .paper = "Karat",
      .metric = {"fisher:fd"},
      .grid = {"uniform:bits=3,group=16,bilevel=1,fit=mse,cost=fisher"},
      .solver = {"gptq"},
      .detach = "0.01,rounds=1",
      .samples = 32,
      .length = 256,
  };
}

}  // namespace karat
