#include "model/threads.h"

#include <dlfcn.h>

#include "karat/torch.h"

namespace karat {
namespace {

/// Calls a function of this name with `n`, where some library has one.
void call_if_there(const char* name, int n) {
  if (void* symbol = ::dlsym(RTLD_DEFAULT, name)) reinterpret_cast<void (*)(int)>(symbol)(n);
}

}  // namespace

void set_torch_threads(int n) {
  at::set_num_threads(n);
  // OpenBLAS built on pthreads does not follow at::set_num_threads. Another BLAS lacks the symbol.
  call_if_there("openblas_set_num_threads", n);
}

void set_own_torch_threads(int n) {
  call_if_there("omp_set_num_threads", n);
}

}  // namespace karat
