// Seed-OSS: Llama with biases of its own; the norm before the MLP has the name of one behind the
// attention.
#include "load/gguf/family.h"

namespace karat {

GgufFamily seed_oss_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = llama_config(keys, "seed_oss"), .names = llama_names()};
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  family.config["attention_out_bias"] = in_first_block(keys, "attn_output.bias");
  family.config["mlp_bias"] = in_first_block(keys, "ffn_up.bias");
  family.names.push_back(
      {"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"});
  return family;
}

}  // namespace karat
