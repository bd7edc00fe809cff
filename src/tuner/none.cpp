// tuner none: codes stay as the solver chose them.
#include "karat/axes.h"

namespace karat {

Tuner none_tuner(Options&) {
  return {};
}

}  // namespace karat
