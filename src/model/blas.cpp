#include "model/blas.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/platform.h"

namespace karat {

std::string_view better_blas_core(std::string_view core, bool avx2, bool avx512) {
  if (core != "Prescott") return "";
  return avx512 ? "SkylakeX" : avx2 ? "Haswell" : "";
}

void start_with_best_blas(char** argv) {
  constexpr const char* kVariable = "OPENBLAS_CORETYPE";
  if (std::getenv(kVariable) != nullptr) return;
  void* symbol = ::dlsym(RTLD_DEFAULT, "openblas_get_corename");
  if (symbol == nullptr) return;
  const char* core = reinterpret_cast<const char* (*)()>(symbol)();
  const std::string better(better_blas_core(core, has_avx2() && has_fma(), has_avx512()));
  if (better.empty()) return;
  ::setenv(kVariable, better.c_str(), 1);
  std::error_code ignored;  // where this fails, the slow kernels are right too
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  ::execv(program.c_str(), argv);
}

}  // namespace karat
