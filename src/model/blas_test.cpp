#include "model/blas.h"

#include <doctest/doctest.h>

using namespace karat;

TEST_CASE("OpenBLAS's kernels are changed only where it did not know a CPU with AVX2") {
  CHECK(better_blas_core("Prescott", true) == "Haswell");
  CHECK(better_blas_core("Prescott", false).empty());
  CHECK(better_blas_core("Zen", true).empty());
  CHECK(better_blas_core("SkylakeX", true).empty());
}
