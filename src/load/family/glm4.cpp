// GLM-4-0414 (Z.ai 2025): GLM-4 with norms after attention and MLP as well.
#include "load/glm_like.h"

namespace karat {

Architecture glm4_family(const ConfigReader& config) {
  Architecture arch = glm_like(config);
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.attention.out_norm = renamed(arch.final_norm, name + "post_self_attn_layernorm");
    block.mlp.out_norm = renamed(arch.final_norm, name + "post_mlp_layernorm");
  });
  return arch;
}

}  // namespace karat
