// Command R (Cohere 2024): attention and MLP read one LayerNorm without bias and are added
// together; neighbouring pairs are rotated; logits are scaled.
#include "load/cohere_like.h"

namespace karat {

Architecture cohere_family(const ConfigReader& config) {
  Architecture arch = cohere_like(config, 500000);
  if (!config.flag_or("use_qk_norm", false)) return arch;
  set_head_norms(arch);
  for (Block& block : arch.blocks) {  // of every head with weights of its own
    block.attention.q_norm->rows = arch.heads;
    block.attention.k_norm->rows = arch.kv_heads;
  }
  return arch;
}

}  // namespace karat
