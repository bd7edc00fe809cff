// TQ1_0: ternary weights, five to a byte (four in the last four bytes) as a fraction in base 3.
#include "core/block.h"

namespace karat {
namespace block {

/// Digits 0 … `digits` − 1 of each of `count` bytes; all first digits come before all second ones.
inline float* ternary(const std::byte* b, int count, int digits, float d, float* w) {
  unsigned power = 1;
  for (int n = 0; n < digits; ++n, power *= 3)
    for (int j = 0; j < count; ++j) {
      const unsigned rest = u8(b, j) * power & 255;
      *w++ = d * static_cast<float>(static_cast<int>(rest * 3 >> 8) - 1);
    }
  return w;
}

}  // namespace block

const BlockType& tq1_0_block() {
  static constexpr BlockType type{"TQ1_0", 34, 256, 54, [](const std::byte* b, float* w) {
                                    const float d = block::half(b + 52);
                                    w = block::ternary(b, 32, 5, d, w);
                                    w = block::ternary(b + 32, 16, 5, d, w);
                                    block::ternary(b + 48, 4, 4, d, w);
                                  }};
  return type;
}

}  // namespace karat
