// selector top: the floor(ratio·count) most expensive weights stay at FP16, exactly that many, ties
// going to the lower index. GWQ keeps 1 % of each matrix; scope may also be the row or the whole
// model.
#include "selector/shared/budget.h"

namespace karat {

Selector top_selector(Options& options) {
  return keep_best(choose_budget(options));
}

}  // namespace karat
