// SmolLM3 (Hugging Face 2025): Llama that rotates nothing in every fourth block (NoPE, Yang et al.
// 2025).
#include <fmt/format.h>

#include "load/llama_like.h"

namespace karat {

Architecture smollm3_family(const ConfigReader& config) {
  const bool attention = config.flag_or("attention_bias", false);
  Architecture arch =
      llama_like(config,
                 {.max_positions = 32768,
                  .kv_heads = 4,
                  .rope = {.theta = 2e6},
                  .tied = true,
                  .bos = 128000,
                  .eos = 128001},
                 {.qkv = attention, .o = attention, .mlp = config.flag_or("mlp_bias", false)});
  const auto every = static_cast<std::size_t>(config.count_or("no_rope_layer_interval", 4));
  const bool listed = config.holds("no_rope_layers");
  const nlohmann::json rotates = listed ? config.json()["no_rope_layers"] : nlohmann::json();
  if (listed && (!rotates.is_array() || rotates.size() != arch.blocks.size()))
    config.reject("no_rope_layers", fmt::format("a list of {} numbers", arch.blocks.size()));
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    if (listed && rotates[i] != 0 && rotates[i] != 1)
      config.reject("no_rope_layers", "0 or 1 for every layer");
    if (listed ? rotates[i] == 0 : (i + 1) % every == 0) arch.blocks[i].rope.reset();
  }
  const bool on = config.flag_or("use_sliding_window", false) && config.holds("sliding_window");
  set_windows(config, arch, on ? config.count("sliding_window") : 0,
              [&](std::size_t i) { return !arch.blocks[i].rope; });
  return arch;
}

}  // namespace karat
