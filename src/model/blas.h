// Which of OpenBLAS's kernels run.
#pragma once

#include <string_view>

namespace karat {

/// The core type whose kernels should run instead of those of `core`, or nothing to change. An
/// OpenBLAS that is older than the CPU takes it for a Prescott, whose SSE3 kernels multiply
/// matrices several times slower than AVX2's or AVX-512's.
std::string_view better_blas_core(std::string_view core, bool avx2, bool avx512);

}  // namespace karat
