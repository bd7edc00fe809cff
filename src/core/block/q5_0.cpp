// Q5_0: a scale, the fifth bits of all codes, then their low four bits as in Q4_0.
#include "core/block.h"

namespace karat {

const BlockType& q5_0_block() {
  static constexpr BlockType type{"Q5_0", 6, 32, 22, [](const std::byte* b, float* w) {
                                    const float d = block::half(b);
                                    const std::uint32_t fifth = block::u32(b + 2, 0);
                                    for (int j = 0; j < 32; ++j) {
                                      const unsigned low =
                                          block::u8(b, 6 + j % 16) >> 4 * (j / 16) & 15;
                                      const auto q = static_cast<int>(low | (fifth >> j & 1) << 4);
                                      w[j] = d * static_cast<float>(q - 16);
                                    }
                                  }};
  return type;
}

}  // namespace karat
