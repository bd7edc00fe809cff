// IQ2_XS: points of eight weights, nine bits for the point and seven for its signs; a 4-bit scale
// for every two.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq2_xs_block() {
  static constexpr BlockType type{
      "IQ2_XS", 17, 256, 74, [](const std::byte* b, float* w) {
        const float d = block::half(b);
        for (int l = 0; l < 32; ++l) {
          const auto four = static_cast<float>(block::nibble(b + 66, l / 2));
          const unsigned code = block::u16(b + 2, l);
          block::write_iq2(block::kIq2XsGrid[code & 511], block::even_signs(code >> 9),
                           d * (0.5f + four) * 0.25f, w + 8 * l);
        }
      }};
  return type;
}

}  // namespace karat
