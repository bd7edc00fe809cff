// IQ1_S: ternary points of eight weights of eleven bits, of which three lie apart; a 3-bit scale
// and the sign of a shift for every 32.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq1_s_block() {
  static constexpr BlockType type{
      "IQ1_S", 19, 256, 50, [](const std::byte* b, float* w) {
        const float d = block::half(b);
        for (int l = 0; l < 32; ++l) {
          const unsigned rest = block::u16(b + 34, l / 4);
          const unsigned point = block::u8(b, 2 + l) | (rest >> l % 4 * 3 & 7) << 8;
          block::write_iq1(block::kIq1Grid[point], (rest & 0x8000) != 0 ? -0.125f : 0.125f,
                           d * static_cast<float>(2 * (rest >> 12 & 7) + 1), w + 8 * l);
        }
      }};
  return type;
}

}  // namespace karat
