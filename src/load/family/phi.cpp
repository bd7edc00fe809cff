// Phi-1 to Phi-2 (Gunasekar et al. 2023; Javaheripi et al. 2023): attention and a plain MLP read
// one LayerNorm and are added together; biases everywhere, the head's too.
#include "load/llama_like.h"

namespace karat {

Architecture phi_family(const ConfigReader& config) {
  Architecture arch = llama_like(config,
                                 {.rope = {.partial = 0.5},
                                  .eps = 1e-5,
                                  .eps_key = "layer_norm_eps",
                                  .norm = Norm::Kind::layer,
                                  .activation = "gelu_new",
                                  .bos = 1,
                                  .eos = 2},
                                 {.qkv = true, .o = true, .mlp = true});
  if (config.flag_or("qk_layernorm", false)) set_head_norms(arch, "q_layernorm", "k_layernorm");
  set_plain_mlp(arch, "fc1", "fc2");
  share_norm(arch);
  change_blocks(arch, [](Block& block, const std::string& name, std::size_t) {
    block.attention.o.name = name + "self_attn.dense";
  });
  arch.final_norm.name = "model.final_layernorm";
  arch.head_bias = "lm_head.bias";
  return arch;
}

}  // namespace karat
