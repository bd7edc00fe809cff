// Q2_K: 2-bit codes in sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum.
#include "core/block.h"

namespace karat {

const BlockType& q2_k_block() {
  static constexpr BlockType type{
      "Q2_K", 10, 256, 84, [](const std::byte* b, float* w) {
        const std::byte* codes = b + 16;
        const float d = block::half(b + 80), dmin = block::half(b + 82);
        for (int i = 0; i < 256; ++i) {
          const unsigned both = block::u8(b, i / 16);
          const float scale = d * static_cast<float>(both & 15);
          const float least = dmin * static_cast<float>(both >> 4);
          const unsigned q = block::u8(codes, i / 128 * 32 + i % 32) >> i % 128 / 32 * 2 & 3;
          w[i] = scale * static_cast<float>(q) - least;
        }
      }};
  return type;
}

}  // namespace karat
