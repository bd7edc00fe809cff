// IQ2_XXS: per 32 weights four points of eight, their signs in seven bits each, and a 4-bit scale.
#include "core/block.h"
#include "core/block/grids/grids.h"

namespace karat {

const BlockType& iq2_xxs_block() {
  static constexpr BlockType type{
      "IQ2_XXS", 16, 256, 66, [](const std::byte* b, float* w) {
        const float d = block::half(b);
        for (int k = 0; k < 8; ++k) {
          const std::byte* group = b + 2 + 8 * k;
          const std::uint32_t rest = block::u32(group, 1);
          const float scale = d * (0.5f + static_cast<float>(rest >> 28)) * 0.25f;
          for (int l = 0; l < 4; ++l)
            block::write_iq2(block::kIq2XxsGrid[block::u8(group, l)],
                             block::even_signs(rest >> 7 * l & 127), scale, w + 32 * k + 8 * l);
        }
      }};
  return type;
}

}  // namespace karat
