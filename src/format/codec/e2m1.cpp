// format e2m1: the 4-bit float of the OCP microscaling formats.
#include "format/shared/list.h"

namespace karat {

const Codec& e2m1_codec() {
  static constexpr ListValues kValues = mirrored({0.5f, 1, 1.5f, 2, 3, 4, 6});
  static const Codec codec = list_codec("e2m1", kValues);
  return codec;
}

}  // namespace karat
