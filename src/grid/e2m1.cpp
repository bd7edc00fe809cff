// grid e2m1: the 15 values of OCP's 4-bit float, ±{6, 4, 3, 2, 1.5, 1, 0.5} and 0. DAQ's code
// (arXiv 2410.12187) has 1/16 in place of 0.5.
#include "grid/affine/affine.h"

namespace karat {

Grid e2m1_grid(Options& options) {
  const std::string smallest =
      options.choice("smallest", "0.5", {"0.5", "0.0625"}, "the smallest positive value");
  return list_grid(smallest == "0.5" ? "e2m1" : "e2m1-daq", options);
}

}  // namespace karat
