// OLMoE (Muennighoff et al. 2024): many small experts; norms over all of q and all of k.
#include "load/experts.h"
#include "load/llama_like.h"

namespace karat {

Architecture olmoe_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(config, {.max_positions = 4096, .eps = 1e-5, .eos = 50279},
                                 {.qkv = bias, .o = bias});
  set_whole_norms(arch);
  ExpertSizes sizes = read_experts(config, 64, 8);
  sizes.ffn = arch.ffn;
  sizes.shares_of_chosen = config.flag_or("norm_topk_prob", false);
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    set_experts(block, name, {}, sizes, arch.hidden);
  });
  return arch;
}

}  // namespace karat
