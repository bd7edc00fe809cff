// Phi-3 and Phi-4 (Abdin et al. 2024): Llama with q, k, v in one layer, and gate and up in another.
#include "load/llama_like.h"

namespace karat {
namespace {

void fuse(const Architecture& arch, Block& block, const std::string& name) {
  block.attention.kind = AttentionKind::fused;
  block.attention.qkv = {name + "self_attn.qkv_proj",
                         (arch.heads + 2 * arch.kv_heads) * arch.head_dim, arch.hidden};
  block.mlp.kind = MlpKind::fused;
  block.mlp.gate_up = {name + "mlp.gate_up_proj", 2 * arch.ffn, arch.hidden};
}

/// In this family even "yarn" and "su" mean longrope.
void refuse_scaling(const ConfigReader& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.holds(key) || !config.json()[key].is_object()) continue;
    const ConfigReader rope = config.object(key);
    for (const char* type : {"rope_type", "type"})
      if (rope.text_or(type, "default") != "default")
        rope.reject(type, "default: Karat does not compute longrope");
  }
}

}  // namespace

Architecture phi3_family(const ConfigReader& config) {
  refuse_scaling(config);
  Architecture arch = llama_like(
      config, {.max_positions = 4096, .eps = 1e-5, .bos = 1, .eos = 32000}, /*biases=*/{});
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    fuse(arch, arch.blocks[i], "model.layers." + std::to_string(i) + ".");
  set_windows(config, arch, config.holds("sliding_window") ? config.count("sliding_window") : 0,
              [](std::size_t) { return true; });
  return arch;
}

}  // namespace karat
