// transform none: a layer is quantized as it is.
#include "karat/axes.h"

namespace karat {

Transform none_transform(Options&) {
  return {};
}

}  // namespace karat
