// IQ1_M: the points of IQ1_S with a shift for every eight weights and a 3-bit scale for every 16.
// The FP16 scale of the block stands in the upper four bits of the four words of scales.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq1_m_block() {
  static constexpr BlockType type{
      "IQ1_M", 29, 256, 56, [](const std::byte* b, float* w) {
        const std::byte *upper = b + 32, *scales = b + 48;
        unsigned bits = 0;
        for (int k = 0; k < 4; ++k) bits |= block::u16(scales, k) >> 12 << 4 * k;
        const float d = f16_to_float(static_cast<std::uint16_t>(bits));
        for (int l = 0; l < 32; ++l) {
          const unsigned rest = block::nibble(upper, l);
          const unsigned three = block::u16(scales, l / 8) >> l % 8 / 2 * 3 & 7;
          block::write_iq1(block::kIq1Grid[block::u8(b, l) | (rest & 7) << 8],
                           (rest & 8) != 0 ? -0.125f : 0.125f,
                           d * static_cast<float>(2 * three + 1), w + 8 * l);
        }
      }};
  return type;
}

}  // namespace karat
