// The points that codes of the IQ1, IQ2 and IQ3 types stand for: eight weights each, or four. The
// tables are written by tools/gguf_grids.py.
#pragma once

#include <cstdint>

namespace karat::block {

/// Eight digits of two bits, the first lowest: 0, 1, 2 are 8, 25, 43.
extern const std::uint16_t kIq2XxsGrid[256];
extern const std::uint16_t kIq2XsGrid[512];
extern const std::uint16_t kIq2SGrid[1024];
/// Four digits of three bits: 4, 12, 20, 28, 36, 44, 52, 62, and 1, 3, 5 … 15.
extern const std::uint16_t kIq3XxsGrid[256];
extern const std::uint16_t kIq3SGrid[512];
/// Eight digits of two bits: 0, 1, 2 are −1, 0, 1.
extern const std::uint16_t kIq1Grid[2048];

/// Writes scale · point, its signs changed where a bit of `signs` is set.
inline void write_iq2(std::uint16_t point, unsigned signs, float scale, float* w) {
  constexpr float kValues[4] = {8, 25, 43, 0};
  for (int j = 0; j < 8; ++j) {
    const float value = scale * kValues[point >> 2 * j & 3];
    w[j] = (signs >> j & 1) != 0 ? -value : value;
  }
}
inline void write_iq3(std::uint16_t point, const float (&values)[8], unsigned signs, float scale,
                      float* w) {
  for (int j = 0; j < 4; ++j) {
    const float value = scale * values[point >> 3 * j & 7];
    w[j] = (signs >> j & 1) != 0 ? -value : value;
  }
}
/// scale · (point + shift)
inline void write_iq1(std::uint16_t point, float shift, float scale, float* w) {
  for (int j = 0; j < 8; ++j)
    w[j] = scale * (static_cast<float>(static_cast<int>(point >> 2 * j & 3) - 1) + shift);
}

}  // namespace karat::block
