// ERNIE 4.5 (Baidu 2025): Llama that rotates neighbouring pairs.
#include "load/llama_like.h"

namespace karat {

Architecture ernie4_5_family(const ConfigReader& config) {
  const bool bias = config.flag_or("use_bias", false);
  return llama_like(config,
                    {.max_positions = 131072,
                     .kv_heads = 2,
                     .head_dim = 128,
                     .rope = {.theta = 500000, .interleaved = true},
                     .eps = 1e-5,
                     .tied = true,
                     .bos = 1,
                     .eos = 2},
                    {.qkv = bias, .o = bias, .mlp = bias});
}

}  // namespace karat
