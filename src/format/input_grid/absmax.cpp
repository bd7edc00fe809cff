// Inputs on levels between ± the token's largest.
#include "format/input_grid.h"

#include <cmath>

#include "core/levels.h"

namespace karat {

const InputGrid& absmax_inputs() {
  static const InputGrid grid = {.step = [](const float* x, std::int64_t n, int bits) {
    const double gap = 2 / (std::ldexp(1.0, bits) - 1);
    return largest_magnitude(x, n) * static_cast<float>(gap) + kLeastStep;
  }};
  return grid;
}

}  // namespace karat
