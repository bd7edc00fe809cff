// Granite 3: Llama with four factors.
#include "load/gguf/family.h"

namespace karat {

GgufFamily granite_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = llama_config(keys, "granite"), .names = llama_names(), .paired = true};
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  family.config["mlp_bias"] = in_first_block(keys, "ffn_up.bias");
  for (const auto& [key, name] : {std::pair("attention.scale", "attention_multiplier"),
                                  std::pair("embedding_scale", "embedding_multiplier"),
                                  std::pair("residual_scale", "residual_multiplier"),
                                  std::pair("logit_scale", "logits_scaling")})
    if (const auto number = keys.find_number(keys.own(key))) family.config[name] = *number;
  if (!keys.find_flag(keys.own("rope.scaling.finetuned")).value_or(true))
    keys.reject(keys.own("rope.scaling.finetuned"), "a model without rotary embedding", "true");
  return family;
}

}  // namespace karat
