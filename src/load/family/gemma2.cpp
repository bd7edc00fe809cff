// Gemma 2 (Gemma Team 2024): norms before and after attention and MLP, soft caps on scores and
// logits, a window in every second block.
#include "load/gemma_like.h"

namespace karat {

Architecture gemma2_family(const ConfigReader& config) {
  Architecture arch = gemma_like(config, {.score_cap = 50, .logit_cap = 30});
  set_norm_offsets(arch);
  return arch;
}

}  // namespace karat
