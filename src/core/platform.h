// What differs between systems; outside the kernels, all conditional compilation is here.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <cerrno>
#endif

// Before a function: it is compiled for AVX2 (without FMA, which rounds otherwise) or for AVX-512
// (whose FMA the file's -ffp-contract=off has to forbid). Only where has_avx2() or has_avx512() may
// it be called.
#if defined(__x86_64__)
#define KARAT_FOR_AVX2 [[gnu::target("avx2")]]
#define KARAT_FOR_AVX512 [[gnu::target("avx512f")]]
#define KARAT_FOR_AVX512_BYTES [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]]
/// In a function for AVX2 or AVX-512's bytes, of vectors of 32 bytes: for each byte of `index`,
/// that byte of `table` that its lowest four bits name, or 0 if it is 128 or more. The table's
/// halves are alike.
#define KARAT_LOOK_UP_AVX2(table, index)                                    \
  ((decltype(index))__builtin_ia32_pshufb256((karat::SignedBytes32)(table), \
                                             (karat::SignedBytes32)(index)))
#else
#define KARAT_LOOK_UP_AVX2(table, index) (index)
#define KARAT_FOR_AVX2
#define KARAT_FOR_AVX512
#define KARAT_FOR_AVX512_BYTES
#endif

namespace karat {

using SignedBytes32 [[gnu::vector_size(32)]] = char;

#if defined(__x86_64__)
inline bool has_avx2() {
  return __builtin_cpu_supports("avx2");
}
inline bool has_fma() {
  return __builtin_cpu_supports("fma");
}
/// F, BW, DQ and VL: every AVX-512 but that of the first Xeon Phi.
inline bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
inline bool made_by_amd() {
  return __builtin_cpu_is("amd");
}
#else
inline bool has_avx2() {
  return false;
}
inline bool has_fma() {
  return false;
}
inline bool has_avx512() {
  return false;
}
inline bool made_by_amd() {
  return false;
}
#endif

/// Of three twins the one for this CPU: for AVX-512, for AVX2, for any.
template <class Function>
Function* twin_for_cpu(Function* avx512, Function* avx2, Function* any) {
  return has_avx512() ? avx512 : has_avx2() ? avx2 : any;
}

/// Each of n bytes, below 16, becomes that byte of the table [16].
inline void look_up_bytes(const std::uint8_t* table, std::uint8_t* bytes, std::int64_t n) {
  std::int64_t i = 0;
#if defined(__aarch64__)
  for (; i + 16 <= n; i += 16)
    vst1q_u8(bytes + i, vqtbl1q_u8(vld1q_u8(table), vld1q_u8(bytes + i)));
#endif
  for (; i < n; ++i) bytes[i] = table[bytes[i]];
}

/// Gives freed memory back to the system where the allocator would keep it, so that what is
/// resident is what is in use.
inline void release_freed_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

/// Requests large pages behind memory or a mapped file that is to be read as a whole, `data`
/// being a multiple of 2 MiB or the start of the mapping; the system may leave it at small ones.
inline void want_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) {
#if defined(MADV_HUGEPAGE)
  ::madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

/// Puts zeros, to be read alone, in place of the pages from `begin` on. Other threads may be
/// reading there, since the system swaps pages at once. So on Linux it is the system's call itself:
/// TSan takes the library's for a write that races with them.
inline bool replace_by_zeros(std::uintptr_t begin, std::size_t bytes) {
  constexpr long kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
#if defined(__linux__) && defined(SYS_mmap) && defined(__LP64__)
  return ::syscall(SYS_mmap, begin, bytes, long{PROT_READ}, kFlags, -1L, 0L) != -1;
#else
  return ::mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ, kFlags, -1, 0) != MAP_FAILED;
#endif
}

/// What the processor counts of a thread.
#if defined(__linux__)
enum class Counted { cycles = PERF_COUNT_HW_CPU_CYCLES, instructions = PERF_COUNT_HW_INSTRUCTIONS };

/// Opens a count of what a thread of this process does outside the system, which begins at 0; it is
/// read as 64 bits. −1 with errno where that cannot be had.
inline int open_counter(Counted what, int thread) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = static_cast<unsigned long long>(what);
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, thread, -1, -1, 0));
}
#else
enum class Counted { cycles, instructions };

inline int open_counter(Counted, int) {
  errno = ENOSYS;
  return -1;
}
#endif

/// Tells the core that its thread only waits, so that it works on for a hyper-thread beside it.
inline void relax_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace karat
