// SmolLM3: every fourth block rotates nothing, which the file need not say.
#include "load/gguf/family.h"

namespace karat {

GgufFamily smollm3_gguf(const GgufKeys& keys) {
  GgufFamily family{
      .config = llama_config(keys, "smollm3"), .names = llama_names(), .paired = true};
  family.config["no_rope_layer_interval"] = 4;
  return family;
}

}  // namespace karat
