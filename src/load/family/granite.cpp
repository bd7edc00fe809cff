// Granite 3 (IBM 2024): Llama with a factor on embeddings, scores, residuals and logits.
#include "load/llama_like.h"

namespace karat {

Architecture granite_family(const ConfigReader& config) {
  const bool attention = config.flag_or("attention_bias", false);
  Architecture arch =
      llama_like(config, {.bos = 1, .eos = 2},
                 {.qkv = attention, .o = attention, .mlp = config.flag_or("mlp_bias", false)});
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
