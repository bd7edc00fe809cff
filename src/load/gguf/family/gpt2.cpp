// GPT-2: learned positions, LayerNorm, fused q|k|v. Its matrices lie [out, in] here.
#include "load/gguf/family.h"

namespace karat {

GgufFamily gpt2_gguf(const GgufKeys& keys) {
  const std::string eps = keys.own("attention.layer_norm_epsilon");
  if (!keys.has(eps)) keys.reject(eps, "nothing", "the epsilon of its norms");
  return {.config = {{"model_type", "gpt2"},
                     {"n_embd", keys.count(keys.own("embedding_length"))},
                     {"n_inner", keys.count(keys.own("feed_forward_length"))},
                     {"n_layer", keys.count(keys.own("block_count"))},
                     {"n_head", keys.count(keys.own("attention.head_count"))},
                     {"n_positions", keys.count(keys.own("context_length"))},
                     {"layer_norm_epsilon", *keys.find_number(eps)},
                     {"activation_function", "gelu_new"}},
          .names = {{"token_embd", "transformer.wte"},
                    {"position_embd", "transformer.wpe"},
                    {"output_norm", "transformer.ln_f"},
                    {"output", "lm_head"},
                    {"blk.{}.attn_norm", "transformer.h.{}.ln_1"},
                    {"blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn"},
                    {"blk.{}.attn_output", "transformer.h.{}.attn.c_proj"},
                    {"blk.{}.ffn_norm", "transformer.h.{}.ln_2"},
                    {"blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc"},
                    {"blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj"}}};
}

}  // namespace karat
