// The text of Qwen3-VL: of text alone, Qwen3.
#include "load/gguf/family.h"

namespace karat {

GgufFamily qwen3vl_gguf(const GgufKeys& keys) {
  return {.config = llama_config(keys, "qwen3"), .names = llama_names()};
}

}  // namespace karat
