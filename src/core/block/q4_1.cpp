// Q4_1: a scale, a minimum and 4-bit codes; the low nibbles are the first half of the block.
#include "core/block.h"

namespace karat {

const BlockType& q4_1_block() {
  static constexpr BlockType type{"Q4_1", 3, 32, 20, [](const std::byte* b, float* w) {
                                    const float d = block::half(b), least = block::half(b + 2);
                                    for (int j = 0; j < 16; ++j) {
                                      const unsigned q = block::u8(b, 4 + j);
                                      w[j] = d * static_cast<float>(q & 15) + least;
                                      w[j + 16] = d * static_cast<float>(q >> 4) + least;
                                    }
                                  }};
  return type;
}

}  // namespace karat
