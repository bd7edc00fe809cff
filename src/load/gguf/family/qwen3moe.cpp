// Qwen3 with experts, whose shares are those of the chosen ones.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen3moe_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = expert_config(keys, "qwen3_moe"), .names = qwen_expert_names()};
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  family.config["moe_intermediate_size"] = family.config["intermediate_size"];
  family.config["norm_topk_prob"] = true;
  return family;
}

}  // namespace karat
