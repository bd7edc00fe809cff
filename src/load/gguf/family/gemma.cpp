// Gemma: the norms' weights have their 1 added already.
#include "load/gguf/family.h"

namespace karat {

GgufFamily gemma_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = llama_config(keys, "gemma"), .names = llama_names(), .norm_offset = 1};
  family.config["hidden_act"] = "gelu_pytorch_tanh";
  return family;
}

}  // namespace karat
