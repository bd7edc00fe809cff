#include "model/threads.h"

#include <dlfcn.h>

#include "karat/torch.h"

namespace karat {

void set_torch_threads(int n) {
  at::set_num_threads(n);
  // OpenBLAS built on pthreads does not follow at::set_num_threads. Another BLAS lacks the symbol.
  if (void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(symbol)(n);
}

}  // namespace karat
