#include "load/gguf/family.h"

namespace karat {

void read_factors_of_granite(const GgufKeys& keys, nlohmann::json& config) {
  for (const auto& [key, name] : {std::pair("attention.scale", "attention_multiplier"),
                                  std::pair("embedding_scale", "embedding_multiplier"),
                                  std::pair("residual_scale", "residual_multiplier"),
                                  std::pair("logit_scale", "logits_scaling")})
    if (const auto number = keys.find_number(keys.own(key))) config[name] = *number;
  if (!keys.find_flag(keys.own("rope.scaling.finetuned")).value_or(true))
    keys.reject(keys.own("rope.scaling.finetuned"), "a model without rotary embedding", "true");
}

}  // namespace karat
