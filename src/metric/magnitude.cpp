// metric magnitude: |w|, the score that needs no data.
#include "karat/axes.h"

namespace karat {

Metric magnitude_metric(Options&) {
  return {.score = [](const Layer& layer, const auto&) { return layer.weight.abs(); }};
}

}  // namespace karat
