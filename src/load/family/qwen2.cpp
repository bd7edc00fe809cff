// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on q, k and v.
#include "load/llama_like.h"

namespace karat {

Architecture qwen2_family(const ConfigReader& config) {
  Architecture arch = llama_like(config, {.max_positions = 32768, .kv_heads = 32}, {.qkv = true});
  set_qwen_windows(config, arch);
  return arch;
}

}  // namespace karat
