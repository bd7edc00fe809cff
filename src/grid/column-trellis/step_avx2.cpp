// One row of the search with AVX2.
#include "core/platform.h"
#define KARAT_STEP_TARGET KARAT_FOR_AVX2
#include "grid/column-trellis/vector_step.h"

namespace karat {

int step_avx2(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
              std::uint8_t* to) {
  return vector_step(sums, costs, from, to);
}

}  // namespace karat
