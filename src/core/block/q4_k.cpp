// Q4_K: 4-bit codes in sub-blocks of 32, each with a 6-bit scale and a 6-bit minimum.
#include "core/block/six_bits.h"

namespace karat {

const BlockType& q4_k_block() {
  static constexpr BlockType type{"Q4_K", 12, 256, 144, [](const std::byte* b, float* w) {
                                    const std::byte *scales = b + 4, *codes = b + 16;
                                    const float d = block::half(b), dmin = block::half(b + 2);
                                    for (int k = 0; k < 8; ++k) {
                                      const block::ScaleMin six = block::scale_min(scales, k);
                                      const float scale = d * six.scale, least = dmin * six.least;
                                      for (int l = 0; l < 32; ++l) {
                                        const unsigned q =
                                            block::u8(codes, k / 2 * 32 + l) >> k % 2 * 4 & 15;
                                        w[32 * k + l] = scale * static_cast<float>(q) - least;
                                      }
                                    }
                                  }};
  return type;
}

}  // namespace karat
