// Mistral 7B (Jiang et al. 2023): Llama with a sliding window in every block; later ones without,
// or in some.
#include "load/llama_like.h"

namespace karat {

Architecture mistral_family(const ConfigReader& config) {
  Architecture arch = llama_like(
      config, {.max_positions = 131072, .kv_heads = 8, .bos = 1, .eos = 2}, /*biases=*/{});
  set_mistral_windows(config, arch);
  return arch;
}

}  // namespace karat
