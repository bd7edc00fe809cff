// The text of Qwen2-VL and Qwen2.5-VL: of text alone, Qwen2.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen2vl_gguf(const GgufKeys& keys) {
  return {.config = llama_config(keys, "qwen2"), .names = llama_names()};
}

}  // namespace karat
