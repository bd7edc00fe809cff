// The `karat-torch` program: verbs that need LibTorch. Started by `karat`.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "cli/common.h"
#include "core/platform.h"
#include "model/blas.h"
#include "model/threads.h"

namespace karat {
const VerbTable& torch_verb_table();

namespace {

/// Starts this program anew if OpenBLAS should run other kernels: it asks the environment's
/// OPENBLAS_CORETYPE when it is loaded and never again. A user's own is left as it is.
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

}  // namespace
}  // namespace karat

int main(int argc, char** argv) {
  karat::start_with_best_blas(argv);
  return karat::run_program({karat::torch_verb_table(), {}, karat::set_torch_threads}, argc, argv);
}
