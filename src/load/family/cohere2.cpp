// Command R7B (Cohere 2024): Command R whose every fourth block has neither window nor rotation.
#include "load/cohere_like.h"

namespace karat {

Architecture cohere2_family(const ConfigReader& config) {
  Architecture arch = cohere_like(config, 10000);
  const bool none = config.has("sliding_window") && !config.holds("sliding_window");
  const std::int64_t pattern =
      config.count_or("sliding_window_pattern", config.count_or("_sliding_window_pattern", 4));
  set_windows_but_every(config, arch, none ? 0 : config.count_or("sliding_window", 4096), pattern);
  for (Block& block : arch.blocks)
    if (block.window == 0) block.rope.reset();
  return arch;
}

}  // namespace karat
