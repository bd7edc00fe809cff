// Inputs on the levels that are best for a normal distribution of the token's RMS (QuEST, arXiv
// 2502.05003).
#include "format/input_grid.h"

#include <cmath>

#include "core/levels.h"

namespace karat {

const InputGrid& gaussian_inputs() {
  static const InputGrid grid = {.step = [](const float* x, std::int64_t n, int bits) {
    const double gap = 2 * gaussian_clip(bits) / (std::ldexp(1.0, bits) - 1);
    const float rms = std::sqrt(square_sum(x, n) / static_cast<float>(n));
    return rms * static_cast<float>(gap) + kLeastStep;
  }};
  return grid;
}

}  // namespace karat
