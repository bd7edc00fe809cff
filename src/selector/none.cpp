// selector none: every weight goes onto the grid.
#include "karat/axes.h"

namespace karat {

Selector none_selector(Options&) {
  return {};
}

}  // namespace karat
