// Qwen3 (Yang et al. 2025): Llama with RMSNorm on every head of q and k before the rotation.
#include "load/llama_like.h"

namespace karat {

Architecture qwen3_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config, {.max_positions = 32768, .kv_heads = 32, .head_dim = 128},
                                 {.qkv = bias, .o = bias});
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    const std::string name = "model.layers." + std::to_string(i) + ".self_attn.";
    const float eps = arch.final_norm.eps;
    arch.blocks[i].attention.q_norm = {name + "q_norm", Norm::Kind::rms, eps};
    arch.blocks[i].attention.k_norm = {name + "k_norm", Norm::Kind::rms, eps};
  }
  set_qwen_windows(config, arch);
  return arch;
}

}  // namespace karat
