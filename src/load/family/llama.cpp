// Llama 2 and 3 (Touvron et al. 2023; Grattafiori et al. 2024), and what shares their layout:
// SmolLM.
#include "load/llama_like.h"

namespace karat {

Architecture llama_family(const ConfigReader& config) {
  const bool attention = config.flag_or("attention_bias", false);
  return llama_like(config, {.bos = 1, .eos = 2},
                    {.qkv = attention, .o = attention, .mlp = config.flag_or("mlp_bias", false)});
}

}  // namespace karat
