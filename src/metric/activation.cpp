// metric activation: the cost of a squared error is the mean square of the weight's input, the
// diagonal of GPTQ's Hessian.
#include "karat/axes.h"

namespace karat {

Metric activation_metric(Options&) {
  return {.needs = {.input_square = true}, .score = [](const Layer& layer, const auto&) {
            return layer.stats.input_square.unsqueeze(0).expand_as(layer.weight);
          }};
}

}  // namespace karat
