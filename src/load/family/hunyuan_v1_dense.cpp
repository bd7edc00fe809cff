// Hunyuan (Tencent 2025): Llama with RMSNorm on every head of q and k after the rotation.
#include "load/llama_like.h"

namespace karat {

Architecture hunyuan_v1_dense_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config, {.rope = {.alpha = true}, .eps = 1e-5, .bos = 1, .eos = 2},
                                 {.qkv = bias, .o = bias});
  set_head_norms(arch, "query_layernorm", "key_layernorm");
  for (Block& block : arch.blocks) block.rope_first = true;
  config.harmless({"eod_token_id"});
  return arch;
}

}  // namespace karat
