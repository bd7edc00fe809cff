// The `karat-torch` program: verbs that need LibTorch. Started by `karat`.
#include "cli/common.h"
#include "model/blas.h"
#include "model/threads.h"

namespace karat {
const VerbTable& torch_verb_table();
}

int main(int argc, char** argv) {
  karat::start_with_best_blas(argv);
  return karat::run_program({karat::torch_verb_table(), {}, karat::set_torch_threads}, argc, argv);
}
