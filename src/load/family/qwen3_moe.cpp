// Qwen3 (Yang et al. 2025) with experts: the shares of those chosen are those of all, unless
// norm_topk_prob.
#include "load/experts.h"
#include "load/llama_like.h"

namespace karat {

Architecture qwen3_moe_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch =
      llama_like(config, {.max_positions = 32768, .kv_heads = 4}, {.qkv = bias, .o = bias});
  set_head_norms(arch);
  if (config.flag_or("use_sliding_window", false)) set_mistral_windows(config, arch);
  config.harmless({"sliding_window", "max_window_layers"});
  ExpertSizes sizes = read_experts(config, 128, 8);
  sizes.ffn = config.count_or("moe_intermediate_size", 768);
  sizes.shares_of_chosen = config.flag_or("norm_topk_prob", false);
  set_qwen_experts(config, arch, sizes);
  return arch;
}

}  // namespace karat
