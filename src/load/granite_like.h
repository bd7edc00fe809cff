// What Granite's models have in common.
#pragma once

#include "load/llama_like.h"

namespace karat {

/// Llama with a factor on embeddings, scores, residuals and logits.
inline Architecture granite_like(const ConfigReader& config, bool mlp_bias) {
  const bool attention = config.flag_or("attention_bias", false);
  Architecture arch =
      llama_like(config, {.bos = 1, .eos = 2}, {.qkv = attention, .o = attention, .mlp = mlp_bias});
  const auto factor = [&](const char* key) {
    return static_cast<float>(config.positive_or(key, 1));
  };
  arch.embedding_scale = factor("embedding_multiplier");
  arch.score_scale = factor("attention_multiplier");
  arch.residual_scale = factor("residual_multiplier");
  arch.logit_scale = 1 / factor("logits_scaling");
  return arch;
}

}  // namespace karat
