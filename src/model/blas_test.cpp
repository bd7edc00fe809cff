#include "model/blas.h"

#include <doctest/doctest.h>

using namespace karat;

TEST_CASE("OpenBLAS's kernels are changed only where it did not know a CPU") {
  CHECK(better_blas_core("Prescott", true, true) == "SkylakeX");
  CHECK(better_blas_core("Prescott", true, false) == "Haswell");
  CHECK(better_blas_core("Prescott", false, false).empty());
  CHECK(better_blas_core("Zen", true, false).empty());
  CHECK(better_blas_core("SkylakeX", true, true).empty());
}
