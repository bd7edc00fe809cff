// LNQ with GuidedQuant (Kim et al., arXiv 2505.07004): SqueezeLLM's tables to begin with, then
// tables and codes alternately, errors measured by how much the loss minds each token's outputs.
// --solver lnq leaves the loss out: LNQ alone.
#include "karat/recipe.h"

namespace karat {

Recipe lnq_method() {
  return {
      .summary = "a table of values per row, its codes and values fitted alternately to the loss",
      .paper = "GuidedQuant, arXiv 2505.07004",
      .grid = {"lut:bits=3,cost=fisher"},
      .solver = {"lnq:hessian=guided"},
      .samples = 16,
  };
}

}  // namespace karat
