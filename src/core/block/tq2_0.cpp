// TQ2_0: a scale and 2-bit codes 0, 1, 2 (and 3) for −1, 0, 1 (and 2).
#include "core/block.h"

namespace karat {

const BlockType& tq2_0_block() {
  static constexpr BlockType type{
      "TQ2_0", 35, 256, 66, [](const std::byte* b, float* w) {
        const float d = block::half(b + 64);
        for (int i = 0; i < 256; ++i) {
          const unsigned q = block::u8(b, i / 128 * 32 + i % 32) >> i % 128 / 32 * 2 & 3;
          w[i] = d * static_cast<float>(static_cast<int>(q) - 1);
        }
      }};
  return type;
}

}  // namespace karat
