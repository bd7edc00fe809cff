// Qwen1.5-MoE and Qwen2-MoE (Yang et al. 2024): Qwen2 with experts, beside one that sees all
// tokens, weighed by a sigmoid.
#include "load/experts.h"
#include "load/llama_like.h"

namespace karat {
namespace {

void add_own_expert(Block& block, const std::string& name, std::int64_t ffn, std::int64_t hidden) {
  Mlp& mlp = block.mlp;
  mlp.kind = MlpKind::gated;
  mlp.gate = {name + "mlp.shared_expert.gate_proj", ffn, hidden};
  mlp.up = {name + "mlp.shared_expert.up_proj", ffn, hidden};
  mlp.down = {name + "mlp.shared_expert.down_proj", hidden, ffn};
  mlp.own_share = Router{name + "mlp.shared_expert_gate", 1, hidden};
}

}  // namespace

Architecture qwen2_moe_family(const ConfigReader& config) {
  Architecture arch = llama_like(config, {.max_positions = 32768, .kv_heads = 16},
                                 {.qkv = config.flag_or("qkv_bias", true)});
  const bool slides = config.flag_or("use_sliding_window", false);
  const std::int64_t window = slides ? config.count_or("sliding_window", 4096) : 0;
  const auto last = static_cast<std::size_t>(
      config.integer_or("max_window_layers", 28, 0, std::int64_t{1} << 31));
  set_windows(config, arch, window, [&](std::size_t i) { return i % 2 == 0 && i < last; });
  config.harmless({"sliding_window"});
  ExpertSizes sizes = read_experts(config, 60, 4);
  sizes.ffn = config.count_or("moe_intermediate_size", 1408);
  sizes.shares_of_chosen = config.flag_or("norm_topk_prob", false);
  const std::int64_t own = config.count_or("shared_expert_intermediate_size", 5632);
  const std::vector<bool> sparse = set_qwen_experts(config, arch, sizes);
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t i) {
    if (sparse[i]) add_own_expert(block, name, own, arch.hidden);
  });
  return arch;
}

}  // namespace karat
