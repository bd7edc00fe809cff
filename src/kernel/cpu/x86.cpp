// Asks the CPU which sets it can run. Compiled for every CPU, unlike its neighbours.
#include "kernel/cpu/x86.h"

namespace karat {

#if defined(__x86_64__)
const KernelSet* avx2_kernels() {
  static const KernelSet* found = []() -> const KernelSet* {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("f16c"))
      return nullptr;
    static KernelSet set = reference_kernels();  // gelu's erf has no AVX2 twin
    avx2::fill_table(set);
    return &set;
  }();
  return found;
}
#else
const KernelSet* avx2_kernels() {
  return nullptr;
}
#endif

}  // namespace karat
