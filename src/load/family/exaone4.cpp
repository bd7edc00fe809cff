// EXAONE 4 (LG AI Research 2025): norms after attention and MLP, and on every head of q and k;
// where some blocks have a window, the others rotate nothing.
#include "load/llama_like.h"

namespace karat {

Architecture exaone4_family(const ConfigReader& config) {
  Architecture arch =
      llama_like(config, {.kv_heads = 32, .eps = 1e-5, .bos = 0, .eos = 2}, /*biases=*/{});
  set_norms_after(arch);
  set_head_norms(arch);
  const bool none = config.has("sliding_window") && !config.holds("sliding_window");
  set_windows_but_every(config, arch, none ? 0 : config.count_or("sliding_window", 4096),
                        none ? 1 : config.count_or("sliding_window_pattern", 4));
  config.harmless({"sliding_window_pattern"});
  for (Block& block : arch.blocks)
    if (!none && block.window == 0) block.rope.reset();
  return arch;
}

}  // namespace karat
