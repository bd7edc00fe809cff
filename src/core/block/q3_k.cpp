// Q3_K: 3-bit codes in sub-blocks of 16 with 6-bit scales. The third bits lie apart, and where one
// is clear 4 is taken away.
#include "core/block.h"

namespace karat {

const BlockType& q3_k_block() {
  static constexpr BlockType type{
      "Q3_K", 11, 256, 110, [](const std::byte* b, float* w) {
        const std::byte *codes = b + 32, *scales = b + 96;
        const float d = block::half(b + 108);
        for (int i = 0; i < 256; ++i) {
          const int k = i / 16;
          const unsigned low = block::u8(scales, k % 8) >> k / 8 * 4 & 15;
          const unsigned high = block::u8(scales, 8 + k % 4) >> k / 4 * 2 & 3;
          const float scale = d * static_cast<float>(static_cast<int>(low | high << 4) - 32);
          const unsigned q = block::u8(codes, i / 128 * 32 + i % 32) >> i % 128 / 32 * 2 & 3;
          const unsigned third = block::u8(b, i % 32) >> i / 32 & 1;
          w[i] = scale * static_cast<float>(static_cast<int>(q) - (third != 0 ? 0 : 4));
        }
      }};
  return type;
}

}  // namespace karat
