// Mistral 7B (Jiang et al. 2023): Llama with a sliding window in every block; later ones without.
#include "load/llama_like.h"

namespace karat {

Architecture mistral_family(const ConfigReader& config) {
  Architecture arch = llama_like(
      config, {.max_positions = 131072, .kv_heads = 8, .bos = 1, .eos = 2}, /*biases=*/{});
  const bool none = config.has("sliding_window") && !config.holds("sliding_window");
  const std::int64_t window = none ? 0 : config.count_or("sliding_window", 4096);
  for (Block& block : arch.blocks) block.window = window;
  return arch;
}

}  // namespace karat
