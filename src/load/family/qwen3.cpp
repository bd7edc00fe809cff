// Qwen3 (Yang et al. 2025): Llama with RMSNorm on every head of q and k before the rotation.
#include "load/llama_like.h"

namespace karat {

Architecture qwen3_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config, {.max_positions = 32768, .kv_heads = 32, .head_dim = 128},
                                 {.qkv = bias, .o = bias});
  set_head_norms(arch);
  set_qwen_windows(config, arch);
  return arch;
}

}  // namespace karat
