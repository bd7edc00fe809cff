#include "model/parallel.h"

#include <dlfcn.h>

namespace karat {
namespace {

template <class Function>
Function* find_symbol(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
}

/// OpenBLAS built on pthreads would start its own threads inside ours and make callers wait for
/// each other. Other BLAS libraries see that they run inside an OpenMP region; they lack the
/// symbols.
class SerialBlas {
 public:
  SerialBlas() {
    if (get_ && set_) before_ = get_(), set_(1);
  }
  ~SerialBlas() {
    if (get_ && set_) set_(before_);
  }
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  static inline int (*get_)() = find_symbol<int()>("openblas_get_num_threads");
  static inline void (*set_)(int) = find_symbol<void(int)>("openblas_set_num_threads");
  int before_ = 1;
};

}  // namespace

void parallel_indices(std::int64_t count, torch::Device device,
                      const std::function<void(std::int64_t)>& body) {
  const auto range = [&](std::int64_t begin, std::int64_t end) {
    torch::NoGradGuard no_grad;
    for (std::int64_t i = begin; i < end; ++i) body(i);
  };
  if (!device.is_cpu() || at::get_num_threads() == 1 || at::in_parallel_region())
    return range(0, count);
  SerialBlas serial;
  at::parallel_for(0, count, 1, range);
}

}  // namespace karat
