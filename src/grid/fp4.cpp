// grid fp4: the 15 values of bitsandbytes' 4-bit float, ±{12, 8, 6, 4, 3, 2, 1/16} and 0.
#include "grid/affine/affine.h"

namespace karat {

Grid fp4_grid(Options& options) {
  return list_grid("fp4", options);
}

}  // namespace karat
