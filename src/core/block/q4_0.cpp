// Q4_0: a scale and 4-bit codes; the low nibbles are the first half of the block.
#include "core/block.h"

namespace karat {

const BlockType& q4_0_block() {
  static constexpr BlockType type{"Q4_0", 2, 32, 18, [](const std::byte* b, float* w) {
                                    const float d = block::half(b);
                                    for (int j = 0; j < 16; ++j) {
                                      const unsigned q = block::u8(b, 2 + j);
                                      w[j] = d * static_cast<float>(static_cast<int>(q & 15) - 8);
                                      w[j + 16] =
                                          d * static_cast<float>(static_cast<int>(q >> 4) - 8);
                                    }
                                  }};
  return type;
}

}  // namespace karat
