// Karat's own recipe: errors are weighed by the Fisher information everywhere. Kept are the weights
// whose absence lets their group's range shrink where an error is dear (src/selector/saving.cpp);
// ranges are those that cost least, not min-max; GPTQ's compensation does the rest. Many short
// sequences measure the Fisher information better than few long ones (--samples 64 --length 256).
// docs/results.md has the ablation.
#include "karat/recipe.h"

namespace karat {

Recipe karat_method() {
  return {
      .summary = "keeps the weights whose absence saves most once their group's range shrinks",
      .paper = "Karat",
      .metric = {"fisher"},
      .selector = {"saving:0.01"},
      .grid = {"uniform:bits=3,group=16,bilevel=1,fit=mse,cost=fisher"},
      .solver = {"gptq"},
      .samples = 16,
  };
}

}  // namespace karat
