// AWQ: scale up the columns of large inputs, then clip each group's range where inputs are weighed
// by their size (Lin et al., arXiv 2306.00978).
#include "karat/recipe.h"

namespace karat {

Recipe awq_method() {
  return {
      .summary = "columns of large inputs scaled up before rounding, ranges clipped",
      .paper = "AWQ, arXiv 2306.00978",
      .transform = {"scale:fold=1"},
      .grid = {"uniform:bits=4,group=128,fit=mse,cost=activation,rounds=0"},
      .samples = 16,
  };
}

}  // namespace karat
