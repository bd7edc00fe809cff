// Nemotron-4 and Minitron (NVIDIA 2024): LayerNorm of 1 + weight, a plain MLP of squared ReLU, half
// of every head rotated.
#include "load/llama_like.h"

namespace karat {

Architecture nemotron_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch =
      llama_like(config,
                 {.max_positions = 4096,
                  .rope = {.partial = 0.5},
                  .eps = 1e-5,
                  .eps_key = "norm_eps",
                  .norm = Norm::Kind::layer,
                  .activation = "relu2",
                  .bos = 2,
                  .eos = 3},
                 {.qkv = bias, .o = bias, .mlp = config.flag_or("mlp_bias", false)});
  set_plain_mlp(arch, "up_proj", "down_proj");
  arch.final_norm.offset = 1;
  for (Block& block : arch.blocks) visit_norms(block, [](Role, Norm& norm) { norm.offset = 1; });
  return arch;
}

}  // namespace karat
