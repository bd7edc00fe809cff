// IQ4_XS: the values of IQ4_NL in sub-blocks of 32 with 6-bit scales.
#include "core/block.h"
#include "core/block/iq4_values.h"

namespace karat {

const BlockType& iq4_xs_block() {
  static constexpr BlockType type{
      "IQ4_XS", 23, 256, 136, [](const std::byte* b, float* w) {
        const float d = block::half(b);
        const unsigned upper = block::u16(b + 2, 0);
        for (int k = 0; k < 8; ++k) {
          const unsigned six = block::nibble(b + 4, k) | (upper >> 2 * k & 3) << 4;
          const float scale = d * static_cast<float>(static_cast<int>(six) - 32);
          for (int l = 0; l < 16; ++l) {
            const unsigned q = block::u8(b, 8 + 16 * k + l);
            w[32 * k + l] = scale * block::kIq4[q & 15];
            w[32 * k + l + 16] = scale * block::kIq4[q >> 4];
          }
        }
      }};
  return type;
}

}  // namespace karat
