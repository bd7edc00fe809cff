// Granite 3 MoE: Granite with experts. Folders have gate and up of all experts in one tensor, files
// in two.
#include "load/gguf/family.h"

namespace karat {

GgufFamily granitemoe_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = expert_config(keys, "granitemoe"), .names = llama_names(), .paired = true};
  family.names.insert(
      family.names.end(),
      {{"blk.{}.ffn_gate_inp", "model.layers.{}.block_sparse_moe.router.layer"},
       {"blk.{}.ffn_gate_exps", "model.layers.{}.block_sparse_moe.experts.gate_proj"},
       {"blk.{}.ffn_up_exps", "model.layers.{}.block_sparse_moe.experts.up_proj"},
       {"blk.{}.ffn_down_exps", "model.layers.{}.block_sparse_moe.experts.down_proj"}});
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  read_factors_of_granite(keys, family.config);
  return family;
}

}  // namespace karat
