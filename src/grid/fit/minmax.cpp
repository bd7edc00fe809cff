// fit minmax: the lowest and the highest weight become the outermost levels.
#include "grid/affine/affine.h"

namespace karat {

Fit minmax_fit(Options&) {
  return {.line = [](const Slab& slab, const Levels& levels) {
    return min_max(slab.weight, slab.kept, levels);
  }};
}

}  // namespace karat
