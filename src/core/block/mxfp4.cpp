// MXFP4 (OCP Microscaling Formats 1.0): 4-bit floats E2M1 and a scale that is a power of two. The
// values below are doubled, and the scale is halved for it.
#include <cmath>

#include "core/block.h"

namespace karat {

const BlockType& mxfp4_block() {
  static constexpr BlockType type{"MXFP4", 39, 32, 17, [](const std::byte* b, float* w) {
                                    static constexpr float kValues[16] = {
                                        0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
                                    const float d =
                                        std::ldexp(1.0f, static_cast<int>(block::u8(b, 0)) - 128);
                                    for (int j = 0; j < 16; ++j) {
                                      const unsigned q = block::u8(b, 1 + j);
                                      w[j] = d * kValues[q & 15];
                                      w[j + 16] = d * kValues[q >> 4];
                                    }
                                  }};
  return type;
}

}  // namespace karat
