// Qwen2 and Qwen2.5: Llama with biases on q, k and v.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen2_gguf(const GgufKeys& keys) {
  return {.config = llama_config(keys, "qwen2"), .names = llama_names()};
}

}  // namespace karat
