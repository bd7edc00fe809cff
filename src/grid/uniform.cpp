// grid uniform: evenly spaced values, ŵ = scale·(code − zero), with a real-valued zero. Statistics
// are FP16, or two-level as in SpQR (arXiv 2306.03078): 3-bit scales and zeros over 16 rows. Codes
// are always computed with the statistics as stored.
#include "format/codec/uniform/blocks.h"
#include "grid/affine/affine.h"
#include "karat/error.h"

namespace karat {

Grid uniform_grid(Options& options) {
  PackedLayout layout;
  layout.bits = static_cast<int>(options.integer("bits", 4, 2, 8, "2 to 6, or 8 bits a code"));
  layout.group = options.integer("group", 128, 0, 65536, "inputs that share statistics; 0: a row");
  if (options.flag("bilevel", false, "3-bit statistics over 16 rows, as in SpQR"))
    layout.variant = kBilevel;
  layout.symmetric = options.flag("symmetric", false, "absmax, zero in the middle");
  if (layout.bits == 7) fail("grid uniform", "bits=7", "2, 3, 4, 5, 6 or 8");
  if (layout.variant == kBilevel && layout.symmetric)
    fail("grid uniform", "bilevel=1,symmetric=1", "one of them", "a symmetric grid has no zeros");
  return affine_grid(with_blocks(layout), options);
}

}  // namespace karat
