// Granite 3: Llama with four factors.
#include "load/gguf/family.h"

namespace karat {

GgufFamily granite_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = llama_config(keys, "granite"), .names = llama_names(), .paired = true};
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  family.config["mlp_bias"] = in_first_block(keys, "ffn_up.bias");
  read_factors_of_granite(keys, family.config);
  return family;
}

}  // namespace karat
