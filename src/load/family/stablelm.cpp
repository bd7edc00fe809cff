// StableLM 2 (Stability AI 2024): Llama with LayerNorm that rotates a quarter of every head.
#include "load/llama_like.h"

namespace karat {

Architecture stablelm_family(const ConfigReader& config) {
  config.only("qk_layernorm", false);
  Architecture arch = llama_like(config,
                                 {.max_positions = 4096,
                                  .kv_heads = 32,
                                  .rope = {.partial = 0.25},
                                  .eps = 1e-5,
                                  .eps_key = "layer_norm_eps",
                                  .norm = Norm::Kind::layer,
                                  .bos = 0,
                                  .eos = 0},
                                 {.qkv = config.flag_or("use_qkv_bias", false)});
  if (config.flag_or("use_parallel_residual", false)) share_norm(arch);
  return arch;
}

}  // namespace karat
