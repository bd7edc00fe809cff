// IQ2_S: points of eight weights of ten bits, of which two lie apart, a byte of signs each, and a
// 4-bit scale for every two.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq2_s_block() {
  static constexpr BlockType type{
      "IQ2_S", 22, 256, 82, [](const std::byte* b, float* w) {
        const std::byte *signs = b + 34, *upper = b + 66, *scales = b + 74;
        const float d = block::half(b);
        for (int l = 0; l < 32; ++l) {
          const auto four = static_cast<float>(block::nibble(scales, l / 2));
          const unsigned high = block::u8(upper, l / 4) >> l % 4 * 2 & 3;
          block::write_iq2(block::kIq2SGrid[block::u8(b, 2 + l) | high << 8], block::u8(signs, l),
                           d * (0.5f + four) * 0.25f, w + 8 * l);
        }
      }};
  return type;
}

}  // namespace karat
