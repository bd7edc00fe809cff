// Seed-OSS (ByteDance 2025): Llama with biases of its own on q, k and v, and on o.
#include "load/llama_like.h"

namespace karat {

Architecture seed_oss_family(const ConfigReader& config) {
  return llama_like(config,
                    {.max_positions = 524288, .kv_heads = 8, .head_dim = 128, .bos = 0, .eos = 2},
                    {.qkv = config.flag_or("attention_bias", true),
                     .o = config.flag_or("attention_out_bias", false),
                     .mlp = config.flag_or("mlp_bias", false)});
}

}  // namespace karat
