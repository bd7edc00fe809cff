// Q5_K: Q4_K with a fifth bit for every code, which lie apart.
#include "core/block/six_bits.h"

namespace karat {

const BlockType& q5_k_block() {
  static constexpr BlockType type{
      "Q5_K", 13, 256, 176, [](const std::byte* b, float* w) {
        const std::byte *scales = b + 4, *fifth = b + 16, *codes = b + 48;
        const float d = block::half(b), dmin = block::half(b + 2);
        for (int k = 0; k < 8; ++k) {
          const block::ScaleMin six = block::scale_min(scales, k);
          const float scale = d * six.scale, least = dmin * six.least;
          for (int l = 0; l < 32; ++l) {
            const unsigned low = block::u8(codes, k / 2 * 32 + l) >> k % 2 * 4 & 15;
            const unsigned q = low | (block::u8(fifth, l) >> k & 1) << 4;
            w[32 * k + l] = scale * static_cast<float>(q) - least;
          }
        }
      }};
  return type;
}

}  // namespace karat
