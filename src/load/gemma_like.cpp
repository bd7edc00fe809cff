#include "load/gemma_like.h"

#include <cmath>

namespace karat {
namespace {

/// null: none.
float cap_of(const ConfigReader& config, const char* key, double fallback) {
  if (config.has(key) && !config.holds(key)) return 0;
  return static_cast<float>(config.number_or(key, fallback));
}

void set_sandwich_norms(Architecture& arch) {
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.attention.out_norm = renamed(arch.final_norm, name + "post_attention_layernorm");
    block.mlp.norm = renamed(arch.final_norm, name + "pre_feedforward_layernorm");
    block.mlp.out_norm = renamed(arch.final_norm, name + "post_feedforward_layernorm");
  });
}

}  // namespace

void set_norm_offsets(Architecture& arch) {
  arch.final_norm.offset = 1;
  for (Block& block : arch.blocks) visit_norms(block, [](Role, Norm& norm) { norm.offset = 1; });
}

Architecture gemma_like(const ConfigReader& config, const GemmaDefaults& defaults) {
  const bool bias = config.flag_or("attention_bias", false);
  config.only("use_bidirectional_attention", false);
  Architecture arch = llama_like(config,
                                 {.max_positions = defaults.max_positions,
                                  .kv_heads = 4,
                                  .head_dim = 256,
                                  .rope = defaults.rope,
                                  .tied = true,
                                  .activation = "gelu_pytorch_tanh",
                                  .activation_key = "hidden_activation",
                                  .bos = 2,
                                  .eos = 1},
                                 {.qkv = bias, .o = bias});
  config.harmless({"hidden_act"});  // their first name of it, which nothing reads
  arch.embedding_scale = std::sqrt(static_cast<float>(arch.hidden));
  arch.score_scale =
      static_cast<float>(1 / std::sqrt(config.positive_or("query_pre_attn_scalar", 256)));
  arch.score_cap = cap_of(config, "attn_logit_softcapping", defaults.score_cap);
  arch.logit_cap = cap_of(config, "final_logit_softcapping", defaults.logit_cap);
  set_sandwich_norms(arch);
  const bool none = config.has("sliding_window") && !config.holds("sliding_window");
  set_windows_but_every(config, arch, none ? 0 : config.count_or("sliding_window", 4096),
                        defaults.pattern);
  return arch;
}

Architecture gemma3_text(const ConfigReader& config) {
  Architecture arch = gemma_like(
      config, {.max_positions = 131072,
               .rope = {.theta = 1e6, .layers = "full_attention"},
               .pattern = config.count_or("sliding_window_pattern",
                                          config.count_or("_sliding_window_pattern", 6))});
  set_head_norms(arch);
  set_norm_offsets(arch);
  arch.ropes.push_back(read_rope(
      config, arch.head_dim, arch.max_positions,
      {.layers = "sliding_attention", .theta_key = "rope_local_base_freq", .scaled = false}));
  for (Block& block : arch.blocks) block.rope = block.window > 0 ? 1 : 0;
  return arch;
}

}  // namespace karat
