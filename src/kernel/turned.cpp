#include "kernel/turned.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/levels.h"
#include "core/rotation.h"
#include "format/input_grid.h"

namespace karat {
namespace {

void turn_blocks(float* x, std::int64_t n, std::int64_t block) {
  const float factor = 1 / std::sqrt(static_cast<float>(block));
  for (std::int64_t i = 0; i < n; ++i) x[i] *= factor;
  for (std::int64_t i = 0; i < n; i += block) walsh_hadamard(x + i, block);
}

}  // namespace

float turn_input(const MatrixView& m, float* x) {
  if (m.hadamard != 0) turn_blocks(x, m.in, m.hadamard);
  if (m.input_grid == nullptr) return 1;
  const float step = m.input_grid->step(x, m.in, m.input_bits);
  if (!std::isfinite(step)) {
    std::fill_n(x, m.in, 1.0f);
    return std::numeric_limits<float>::quiet_NaN();
  }
  odd_levels(x, m.in, step, m.input_bits);
  return step / 2;
}

bool turned_alike(const MatrixView& a, const MatrixView& b) {
  const auto step = [](const MatrixView& m) {
    return m.input_grid == nullptr ? nullptr : m.input_grid->step;
  };
  return a.hadamard == b.hadamard && step(a) == step(b) && a.input_bits == b.input_bits &&
         (a.row_scales == nullptr) == (b.row_scales == nullptr);
}

}  // namespace karat
