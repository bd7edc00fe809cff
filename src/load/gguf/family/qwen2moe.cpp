// Qwen1.5-MoE and Qwen2-MoE: experts beside one that sees all tokens.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen2moe_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = expert_config(keys, "qwen2_moe"), .names = qwen_expert_names()};
  family.config["moe_intermediate_size"] = family.config["intermediate_size"];
  const TensorView* own = keys.find_tensor("blk.0.ffn_up_shexp.weight");
  if (own != nullptr && own->shape.size() == 2)
    family.config["shared_expert_intermediate_size"] = own->shape[0];
  family.config["qkv_bias"] = in_first_block(keys, "attn_q.bias");
  family.config["norm_topk_prob"] = false;
  return family;
}

}  // namespace karat
