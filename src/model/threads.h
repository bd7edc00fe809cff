// One thread count for our pool, LibTorch's and the BLAS beneath it.
#pragma once

namespace karat {

/// Sets all three; LibTorch and OpenBLAS would otherwise each pick their own. Throws unless n >= 1.
void set_torch_threads(int n);

}  // namespace karat
