// Llama, Mistral, SmolLM, InternLM3 and the texts of LLaVA and SmolVLM: one architecture in GGUF.
#include "load/gguf/family.h"

namespace karat {

GgufFamily llama_gguf(const GgufKeys& keys) {
  const bool qkv = in_first_block(keys, "attn_q.bias"),
             o = in_first_block(keys, "attn_output.bias");
  const bool apart = qkv != o;  // InternLM3 has them on q, k and v alone
  GgufFamily family{.config = llama_config(keys, apart ? "internlm3" : "llama"),
                    .names = llama_names(),
                    .paired = true};
  const bool mlp = in_first_block(keys, "ffn_up.bias");
  family.config[apart ? "qkv_bias" : "attention_bias"] = qkv;
  family.config[apart ? "bias" : "mlp_bias"] = apart ? o : mlp;
  if (keys.has(keys.own("expert_count")) && *keys.find_integer(keys.own("expert_count")) > 0)
    keys.reject(keys.own("expert_count"), "experts", "none: Karat does not compute experts");
  return family;
}

}  // namespace karat
