// One row of the search with AVX-512: registers are as wide, but twice as many.
#include "core/platform.h"
#define KARAT_STEP_TARGET KARAT_FOR_AVX512_BYTES
#include "grid/column-trellis/vector_step.h"

namespace karat {

int step_avx512(const ColumnSums& sums, const SumCosts& costs, const std::uint8_t* from,
                std::uint8_t* to) {
  return vector_step(sums, costs, from, to);
}

}  // namespace karat
