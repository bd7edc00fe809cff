// Asks the CPU which sets it can run. Compiled for every CPU, unlike its neighbours.
#include "kernel/cpu/x86.h"

#include "core/platform.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace karat {

#if defined(__x86_64__)
namespace {

/// __builtin_cpu_supports("f16c") is unknown to Clang 14.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace

const KernelSet* avx2_kernels() {
  static const KernelSet* found = []() -> const KernelSet* {
    if (!has_avx2() || !__builtin_cpu_supports("fma") || !has_f16c()) return nullptr;
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
