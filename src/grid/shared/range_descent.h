// DAQ's learned range adjustment (arXiv 2410.12187): derivative-free sign descent on a row's zero
// and scale, with steps that alternate between shrinking and growing.
#pragma once

#include "grid/affine/affine.h"

namespace karat {

struct RangeDescent {
  std::int64_t epochs = 10, iterations = 100;
  double probe = 1e-3;  // the first steps are a fifth and five times of it
  int patience = 5;     // iterations without any move before the epoch ends
};

/// The line each row ends with, its error eᵀHe (H = slab.gram, e = ŵ − w, kept entries apart) not
/// above that of `start`.
Affine descend(const Slab& slab, const Levels& levels, const Affine& start,
               const RangeDescent& options);

}  // namespace karat
