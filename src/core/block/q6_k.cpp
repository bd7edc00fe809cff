// Q6_K: 6-bit codes in sub-blocks of 16 with signed 8-bit scales; the two upper bits lie apart.
#include "core/block.h"

namespace karat {

const BlockType& q6_k_block() {
  static constexpr BlockType type{
      "Q6_K", 14, 256, 210, [](const std::byte* b, float* w) {
        const std::byte *upper = b + 128, *scales = b + 192;
        const float d = block::half(b + 208);
        for (int i = 0; i < 256; ++i) {
          const int half = i / 128, group = i % 128 / 32, l = i % 32;
          const unsigned low = block::u8(b, 64 * half + l + 32 * (group & 1)) >> group / 2 * 4 & 15;
          const unsigned high = block::u8(upper, 32 * half + l) >> group * 2 & 3;
          const float scale = d * static_cast<float>(block::i8(scales, i / 16));
          w[i] = scale * static_cast<float>(static_cast<int>(low | high << 4) - 32);
        }
      }};
  return type;
}

}  // namespace karat
