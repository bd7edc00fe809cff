// IQ3_S: points of four weights of nine bits, of which one lies apart, a sign for every weight, and
// a 4-bit scale for every 32.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq3_s_block() {
  static constexpr BlockType type{
      "IQ3_S", 21, 256, 110, [](const std::byte* b, float* w) {
        constexpr float kValues[8] = {1, 3, 5, 7, 9, 11, 13, 15};
        const std::byte *upper = b + 66, *signs = b + 74, *scales = b + 106;
        const float d = block::half(b);
        for (int l = 0; l < 64; ++l) {
          const unsigned high = block::u8(upper, l / 8) >> l % 8 & 1;
          block::write_iq3(block::kIq3SGrid[block::u8(b, 2 + l) | high << 8], kValues,
                           block::nibble(signs, l),
                           d * static_cast<float>(1 + 2 * block::nibble(scales, l / 8)), w + 4 * l);
        }
      }};
  return type;
}

}  // namespace karat
