// Gemma (Gemma Team 2024): norms multiply by 1 + weight, embeddings are scaled by √hidden.
#include <cmath>

#include "load/llama_like.h"

namespace karat {

Architecture gemma_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  config.only("use_bidirectional_attention", false);
  Architecture arch = llama_like(config,
                                 {.max_positions = 8192,
                                  .kv_heads = 16,
                                  .head_dim = 256,
                                  .tied = true,
                                  .activation = "gelu_pytorch_tanh",
                                  .bos = 2,
                                  .eos = 1},
                                 {.qkv = bias, .o = bias});
  if (arch.activation == Activation::gelu)
    arch.activation = Activation::gelu_tanh;  // its first name
  config.harmless({"hidden_activation"});
  arch.embedding_scale = std::sqrt(static_cast<float>(arch.hidden));
  arch.final_norm.offset = 1;
  for (Block& block : arch.blocks) visit_norms(block, [](Role, Norm& norm) { norm.offset = 1; });
  return arch;
}

}  // namespace karat
