// Ministral 8B (Mistral AI 2024): Mistral with windows in some blocks, as layer_types says.
#include "load/llama_like.h"

namespace karat {

Architecture ministral_family(const ConfigReader& config) {
  Architecture arch = llama_like(
      config, {.max_positions = 131072, .kv_heads = 8, .bos = 1, .eos = 2}, /*biases=*/{});
  set_mistral_windows(config, arch);
  return arch;
}

}  // namespace karat
