// DAQ: density-centred ranges, then learned, on a 4-bit float or quantile grid (Luo and Chen, arXiv
// 2410.12187). This is the paper's reading; its code leaves the first zero at 0:
// --grid nf4:group=128,fit=daq,zero=zero. One block of 512 tokens is enough (--length 512).
#include "karat/recipe.h"

namespace karat {

Recipe daq_method() {
  return {
      .summary = "ranges centred where weights are dense, then moved by the layer's output error",
      .paper = "DAQ, arXiv 2410.12187",
      .grid = {"nf4:group=128,fit=daq"},
      .inputs = "original",
  };
}

}  // namespace karat
