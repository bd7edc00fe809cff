// StarCoder2 (Lozhkov et al. 2024): Llama with LayerNorm, biases and a plain MLP.
#include "load/llama_like.h"

namespace karat {

Architecture starcoder2_family(const ConfigReader& config) {
  const bool bias = config.flag_or("use_bias", true);
  Architecture arch = llama_like(config,
                                 {.max_positions = 4096,
                                  .kv_heads = 2,
                                  .eps = 1e-5,
                                  .eps_key = "norm_epsilon",
                                  .norm = Norm::Kind::layer,
                                  .tied = true,
                                  .activation = "gelu_pytorch_tanh",
                                  .bos = 50256,
                                  .eos = 50256},
                                 {.qkv = bias, .o = bias, .mlp = bias});
  config.harmless({"embedding_dropout"});
  set_plain_mlp(arch, "c_fc", "c_proj");
  set_windows(config, arch, config.holds("sliding_window") ? config.count("sliding_window") : 0,
              [](std::size_t) { return true; });
  return arch;
}

}  // namespace karat
