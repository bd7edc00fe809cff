// What GLM-4 and GLM-4-0414 share.
#pragma once

#include "load/llama_like.h"

namespace karat {

inline Architecture glm_like(const ConfigReader& config) {
  Architecture arch = llama_like(config,
                                 {.max_positions = 131072,
                                  .kv_heads = 2,
                                  .head_dim = 128,
                                  .rope = {.partial = 0.5, .interleaved = true},
                                  .eps = 1.5625e-7},
                                 {.qkv = config.flag_or("attention_bias", true)});
  fuse_gate_and_up(arch);
  return arch;
}

}  // namespace karat
