// Q8_0: a scale and signed bytes.
#include "core/block.h"

namespace karat {

const BlockType& q8_0_block() {
  static constexpr BlockType type{"Q8_0", 8, 32, 34, [](const std::byte* b, float* w) {
                                    const float d = block::half(b);
                                    for (int j = 0; j < 32; ++j)
                                      w[j] = d * static_cast<float>(block::i8(b, 2 + j));
                                  }};
  return type;
}

}  // namespace karat
