// format fp4: bitsandbytes' 4-bit float.
#include "format/shared/list.h"

namespace karat {

const Codec& fp4_codec() {
  static constexpr ListValues kValues = mirrored({0.0625f, 2, 3, 4, 6, 8, 12});
  static const Codec codec = list_codec("fp4", kValues);
  return codec;
}

}  // namespace karat
