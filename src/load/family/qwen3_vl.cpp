// The text of Qwen3-VL (Bai et al. 2025): Qwen3.
#include "load/llama_like.h"
#include "load/text_tower.h"

namespace karat {
namespace {

Architecture text(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", false);
  Architecture arch = llama_like(
      config, {.max_positions = 128000, .kv_heads = 32, .head_dim = 128, .rope = {.theta = 500000}},
      {.qkv = bias, .o = bias});
  set_head_norms(arch);
  return arch;
}

}  // namespace

Architecture qwen3_vl_family(const ConfigReader& config) {
  return text_tower(config, text);
}

}  // namespace karat
