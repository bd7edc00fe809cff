// Asks the CPU which sets of kernels it can run. Compiled for every CPU, unlike the units in isa/;
// cmake/isa.cmake says which sets there are: KARAT_HAS_<set>.
#include "kernel/cpu/sets.h"

#include "core/platform.h"
#include "format/codec.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace karat {

namespace avx2 {
extern const NamedKernels format_kernels[];
void fill_floats(KernelSet& set);
void fill_int8(KernelSet& set);
}  // namespace avx2
namespace avx_vnni {
void fill_int8(KernelSet& set);
}
namespace avx512 {
extern const NamedKernels format_kernels[];
void fill_floats(KernelSet& set);
void fill_int8(KernelSet& set);
}  // namespace avx512
namespace avx512_vnni {
void fill_int8(KernelSet& set);
}
namespace neon {
void fill_floats(KernelSet& set);
void fill_int8(KernelSet& set);
}  // namespace neon
namespace neon_dotprod {
void fill_int8(KernelSet& set);
}

namespace {

/// What is not replaced stays that of `base`: gelu's erf has no twin, and a set that only
/// multiplies 8-bit activations otherwise takes its floats from there.
template <class... Fill>
[[maybe_unused]] KernelSet extended(const KernelSet& base, std::string_view isa, Fill... fill) {
  KernelSet set = base;
  set.isa = isa;
  (fill(set), ...);
  return set;
}

/// A set's kernels of every storage format, in the order of their numbers.
template <const NamedKernels* named>
[[maybe_unused]] const FormatKernels* const* by_format() {
  static const std::vector<const FormatKernels*> found = [] {
    std::vector<const FormatKernels*> all;
    for (const Codec* codec : all_codecs()) {
      const NamedKernels* one = named;
      while (one->name != nullptr && codec->kernels != one->name) ++one;
      all.push_back(one->kernels);
    }
    return all;
  }();
  return found.data();
}

#if defined(__x86_64__)
/// __builtin_cpu_supports("f16c") is unknown to Clang 14.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

/// Unknown to GCC 12's __builtin_cpu_supports. The system keeps its registers if it does AVX2's.
[[maybe_unused]] bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#endif

}  // namespace

std::vector<KernelSet> cpu_kernels() {
  std::vector<KernelSet> found;
#if defined(KARAT_HAS_avx2)
  if (!has_avx2() || !has_fma() || !has_f16c()) return found;
  KernelSet base = extended(reference_kernels(), "avx2", avx2::fill_floats, avx2::fill_int8);
  base.row_by_row = made_by_amd();
  base.formats = by_format<avx2::format_kernels>();
  found.push_back(base);
#if defined(KARAT_HAS_avx_vnni)
  if (has_avx_vnni()) found.push_back(extended(base, "avx-vnni", avx_vnni::fill_int8));
#endif
#if defined(KARAT_HAS_avx512)
  if (!has_avx512()) return found;
  KernelSet wide = extended(base, "avx512", avx512::fill_floats, avx512::fill_int8);
  wide.formats = by_format<avx512::format_kernels>();
  found.push_back(wide);
#if defined(KARAT_HAS_avx512_vnni)
  if (__builtin_cpu_supports("avx512vnni"))
    found.push_back(extended(wide, "avx512-vnni", avx512_vnni::fill_int8));
#endif
#endif
#elif defined(KARAT_HAS_neon)
  const KernelSet base = extended(reference_kernels(), "neon", neon::fill_floats, neon::fill_int8);
  found.push_back(base);
#if defined(KARAT_HAS_neon_dotprod)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0)
    found.push_back(extended(base, "neon-dotprod", neon_dotprod::fill_int8));
#endif
#endif
  return found;
}

}  // namespace karat
