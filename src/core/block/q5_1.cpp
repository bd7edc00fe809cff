// Q5_1: a scale, a minimum, the fifth bits of all codes, then their low four bits as in Q4_1.
#include "core/block.h"

namespace karat {

const BlockType& q5_1_block() {
  static constexpr BlockType type{
      "Q5_1", 7, 32, 24, [](const std::byte* b, float* w) {
        const float d = block::half(b), least = block::half(b + 2);
        const std::uint32_t fifth = block::u32(b + 4, 0);
        for (int j = 0; j < 32; ++j) {
          const unsigned low = block::u8(b, 8 + j % 16) >> 4 * (j / 16) & 15;
          w[j] = d * static_cast<float>(low | (fifth >> j & 1) << 4) + least;
        }
      }};
  return type;
}

}  // namespace karat
