// What differs between systems; outside the kernels, all conditional compilation is here.
#pragma once

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace karat {

/// Gives freed memory back to the system where the allocator would keep it, so that what is
/// resident is what is in use.
inline void release_freed_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

/// Tells the core that its thread only waits, so that it works on for a hyper-thread beside it.
inline void relax_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace karat
