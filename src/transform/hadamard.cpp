// transform hadamard: both sides of a layer are multiplied by a randomized Hadamard matrix, after
// which its weights look normal and none stands out (QuIP#, arXiv 2402.04396). The matrices follow
// from the seed and cost n log n steps an input and output vector at run time.
#include "karat/axes.h"
#include "karat/error.h"

namespace karat {
namespace {

/// What a rotated layer has no statistics of, the grid may not ask for.
void check(const Grid& grid, const Needs& known) {
  const bool inputs = grid.needs.input_square && !known.hessian;
  if (!grid.needs.fisher && !inputs) return;
  fail("transform hadamard", "a grid that weighs errors by statistics of single weights",
       "cost=equal or cost=guided", "a rotation mixes all weights");
}

}  // namespace

Transform hadamard_transform(Options& options) {
  const std::int64_t seed = options.integer("seed", 0, 0, 0x7fffffff, "of the random signs");
  Transform transform{.rotates = true, .check = check};
  transform.fit = [seed](const Layer&, const Kept&, const Grid&) {
    return Basis{.rotation = static_cast<std::uint32_t>(seed)};
  };
  return transform;
}

}  // namespace karat
