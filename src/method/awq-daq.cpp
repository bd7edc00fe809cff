// AWQ's scales, then DAQ's ranges on an NF4 grid (Luo and Chen, arXiv 2410.12187).
#include "karat/recipe.h"

namespace karat {

Recipe awq_daq_method() {
  return {
      .summary = "AWQ's scales, then DAQ's ranges",
      .paper = "DAQ, arXiv 2410.12187; AWQ, arXiv 2306.00978",
      .transform = {"scale"},
      .grid = {"nf4:group=128,fit=daq"},
      .inputs = "original",
      .samples = 2,
  };
}

}  // namespace karat
