// The `karat` program: verbs that run models, and the door to karat-torch.
#include "cli/common.h"

namespace karat {
const VerbTable& run_verb_table();
}

int main(int argc, char** argv) {
  return karat::run_program({karat::run_verb_table(), karat::helper_verbs(), [](int) {}}, argc,
                            argv);
}
