// Llama, Mistral, Mixtral, SmolLM, InternLM3 and the texts of LLaVA and SmolVLM: one architecture
// in GGUF.
#include "load/gguf/family.h"

namespace karat {
namespace {

GgufFamily mixtral(const GgufKeys& keys) {
  GgufFamily family{
      .config = expert_config(keys, "mixtral"), .names = llama_names(), .paired = true};
  family.names.insert(family.names.end(),
                      {{"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.gate"},
                       {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.experts.w1"},
                       {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.experts.w3"},
                       {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.experts.w2"}});
  return family;
}

}  // namespace

GgufFamily llama_gguf(const GgufKeys& keys) {
  if (keys.find_integer(keys.own("expert_count")).value_or(0) > 0) return mixtral(keys);
  const bool qkv = in_first_block(keys, "attn_q.bias"),
             o = in_first_block(keys, "attn_output.bias");
  const bool apart = qkv != o;  // InternLM3 has them on q, k and v alone
  GgufFamily family{.config = llama_config(keys, apart ? "internlm3" : "llama"),
                    .names = llama_names(),
                    .paired = true};
  const bool mlp = in_first_block(keys, "ffn_up.bias");
  family.config[apart ? "qkv_bias" : "attention_bias"] = qkv;
  family.config[apart ? "bias" : "mlp_bias"] = apart ? o : mlp;
  return family;
}

}  // namespace karat
