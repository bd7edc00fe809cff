// OLMo 2 (OLMo Team 2024): norms after attention and MLP, and over all of q and all of k.
#include "load/llama_like.h"

namespace karat {

Architecture olmo2_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config, {.eps = 1e-5, .eos = 50279}, {.qkv = bias, .o = bias});
  set_norms_after(arch);
  set_whole_norms(arch);
  return arch;
}

}  // namespace karat
