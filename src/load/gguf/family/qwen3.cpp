// Qwen3: RMSNorm on every head of q and k.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen3_gguf(const GgufKeys& keys) {
  GgufFamily family{.config = llama_config(keys, "qwen3"), .names = llama_names()};
  family.config["attention_bias"] = in_first_block(keys, "attn_q.bias");
  return family;
}

}  // namespace karat
