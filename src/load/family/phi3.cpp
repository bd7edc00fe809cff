// Phi-3 and Phi-4 (Abdin et al. 2024): Llama with q, k, v in one layer, and gate and up in another;
// Phi-4-mini rotates a part of each head.
#include "load/llama_like.h"

namespace karat {
namespace {

/// In this family even "yarn" and "su" mean longrope.
void refuse_scaling(const ConfigReader& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.holds(key) || !config.json()[key].is_object()) continue;
    const ConfigReader rope = config.object(key);
    for (const char* type : {"rope_type", "type"}) {
      const std::string name = rope.text_or(type, "default");
      const bool longrope = name == "longrope" || name == "su" || name == "yarn";
      if (name != "default" && !(longrope && rope.holds("short_factor")))
        rope.reject(type, "default, or longrope with its factors");
    }
  }
}

}  // namespace

Architecture phi3_family(const ConfigReader& config) {
  refuse_scaling(config);
  Architecture arch = llama_like(
      config, {.max_positions = 4096, .rope = {.partial = 1}, .eps = 1e-5, .bos = 1, .eos = 32000},
      /*biases=*/{});
  fuse_gate_and_up(arch);
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.attention.kind = AttentionKind::fused;
    block.attention.qkv = {name + "self_attn.qkv_proj",
                           (arch.heads + 2 * arch.kv_heads) * arch.head_dim, arch.hidden};
  });
  set_windows(config, arch, config.holds("sliding_window") ? config.count("sliding_window") : 0,
              [](std::size_t) { return true; });
  return arch;
}

}  // namespace karat
