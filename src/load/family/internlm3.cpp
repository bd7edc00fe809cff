// InternLM3 (Shanghai AI Laboratory 2025): Llama, whose biases have two names each.
#include "load/llama_like.h"

namespace karat {

Architecture internlm3_family(const ConfigReader& config) {
  const bool attention = config.flag_or("qkv_bias", config.flag_or("attention_bias", false));
  const bool mlp = config.flag_or("bias", config.flag_or("mlp_bias", false));
  return llama_like(
      config,
      {.max_positions = 32768, .kv_heads = 2, .head_dim = 128, .eps = 1e-5, .bos = 1, .eos = 2},
      {.qkv = attention, .o = mlp, .mlp = mlp});
}

}  // namespace karat
