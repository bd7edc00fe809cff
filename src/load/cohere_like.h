// What both generations of Command R share.
#pragma once

#include "load/llama_like.h"

namespace karat {

inline Architecture cohere_like(const ConfigReader& config, double theta) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config,
                                 {.max_positions = 8192,
                                  .rope = {.theta = theta, .interleaved = true},
                                  .eps = 1e-5,
                                  .eps_key = "layer_norm_eps",
                                  .norm = Norm::Kind::layer_without_bias,
                                  .tied = true,
                                  .bos = 5,
                                  .eos = 255001},
                                 {.qkv = bias, .o = bias});
  arch.logit_scale = static_cast<float>(config.positive_or("logit_scale", 0.0625));
  share_norm(arch);
  return arch;
}

}  // namespace karat
