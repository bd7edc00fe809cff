// OLMo 3 (OLMo Team 2025): OLMo 2 with a window in three of four blocks, whose rotary embedding is
// never scaled.
#include "load/llama_like.h"

namespace karat {

Architecture olmo3_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(
      config, {.rope = {.theta = 500000, .layers = "full_attention"}, .eps = 1e-5, .eos = 50279},
      {.qkv = bias, .o = bias});
  set_norms_after(arch);
  set_whole_norms(arch);
  set_windows_but_every(config, arch, config.count_or("sliding_window", 4096), 4);
  arch.ropes.push_back(
      read_rope(config, arch.head_dim, arch.max_positions,
                {.theta = 500000, .layers = "sliding_attention", .scaled = false}));
  for (Block& block : arch.blocks) block.rope = block.window > 0 ? 1 : 0;
  return arch;
}

}  // namespace karat
