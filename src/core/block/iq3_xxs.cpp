// IQ3_XXS: points of four weights; per 32 of them the signs in seven bits for eight, and a 4-bit
// scale.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq3_xxs_block() {
  static constexpr BlockType type{
      "IQ3_XXS", 18, 256, 98, [](const std::byte* b, float* w) {
        constexpr float kValues[8] = {4, 12, 20, 28, 36, 44, 52, 62};
        const float d = block::half(b);
        for (int l = 0; l < 64; ++l) {
          const std::uint32_t rest = block::u32(b + 66, l / 8);
          const unsigned signs = block::even_signs(rest >> 7 * (l % 8 / 2) & 127);
          block::write_iq3(block::kIq3XxsGrid[block::u8(b, 2 + l)], kValues, signs >> l % 2 * 4,
                           d * (0.5f + static_cast<float>(rest >> 28)) * 0.5f, w + 4 * l);
        }
      }};
  return type;
}

}  // namespace karat
