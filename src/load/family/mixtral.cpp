// Mixtral (Jiang et al. 2024): Mistral with experts in the place of every MLP.
#include "load/experts.h"
#include "load/llama_like.h"

namespace karat {

Architecture mixtral_family(const ConfigReader& config) {
  Architecture arch = llama_like(config,
                                 {.max_positions = 131072,
                                  .kv_heads = 8,
                                  .rope = {.theta = 1e6},
                                  .eps = 1e-5,
                                  .bos = 1,
                                  .eos = 2},
                                 {});
  if (config.holds("sliding_window")) set_mistral_windows(config, arch);
  config.harmless({"router_jitter_noise"});  // of training
  ExpertSizes sizes = read_experts(config, 8, 2);
  sizes.ffn = arch.ffn;
  const ExpertNames names{.place = "block_sparse_moe.", .gate = "w1", .up = "w3", .down = "w2"};
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    set_experts(block, name, names, sizes, arch.hidden);
  });
  return arch;
}

}  // namespace karat
