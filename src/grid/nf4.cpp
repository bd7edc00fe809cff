// grid nf4: 16 values at quantiles of a Gaussian (QLoRA, arXiv 2305.14314), with scale and zero.
#include "grid/affine/affine.h"

namespace karat {

Grid nf4_grid(Options& options) {
  return list_grid("nf4", options);
}

}  // namespace karat
