// The eight 6-bit scales and minima that Q4_K and Q5_K keep in twelve bytes.
#pragma once

#include "core/block.h"

namespace karat::block {

struct ScaleMin {
  float scale, least;
};

/// Of sub-block `k`, of 32 weights: the first four have their six bits together, the others four in
/// the last bytes and two above those of the first.
inline ScaleMin scale_min(const std::byte* scales, int k) {
  if (k < 4)
    return {static_cast<float>(u8(scales, k) & 63), static_cast<float>(u8(scales, k + 4) & 63)};
  const unsigned low = u8(scales, k + 4);
  return {static_cast<float>((low & 15) | u8(scales, k - 4) >> 6 << 4),
          static_cast<float>(low >> 4 | u8(scales, k) >> 6 << 4)};
}

}  // namespace karat::block
