// The thread counts of LibTorch and of the BLAS beneath it, which hold for the process.
#pragma once

namespace karat {

/// Sets both; they would otherwise each pick their own. n >= 1.
void set_torch_threads(int n);
/// Only the count that LibTorch has for the calling thread, where it is built with OpenMP.
void set_own_torch_threads(int n);

}  // namespace karat
