// The budget that selectors share: which weights are the best floor(ratio·count).
#pragma once

#include "karat/axes.h"
#include "recipe/best.h"

namespace karat {

struct KeptBudget {
  double ratio = 0;
  std::string scope;           // "matrix", "row" or "model": what the ratio is taken of
  bool only_positive = false;  // weights worth nothing are not kept, though the budget has room
};
/// The options `ratio` and `scope`.
KeptBudget choose_budget(Options& options);
/// Keeps exactly that many of the best, ties going to the lower index.
Selector keep_best(const KeptBudget& budget);

}  // namespace karat
