// IQ4_NL: Q4_0 whose codes stand for values that lie closer together near zero.
#include "core/block.h"
#include "core/block/iq4_values.h"

namespace karat {

const BlockType& iq4_nl_block() {
  static constexpr BlockType type{"IQ4_NL", 20, 32, 18, [](const std::byte* b, float* w) {
                                    const float d = block::half(b);
                                    for (int j = 0; j < 16; ++j) {
                                      const unsigned q = block::u8(b, 2 + j);
                                      w[j] = d * block::kIq4[q & 15];
                                      w[j + 16] = d * block::kIq4[q >> 4];
                                    }
                                  }};
  return type;
}

}  // namespace karat
