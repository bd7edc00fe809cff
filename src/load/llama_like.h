// The decoder that Llama, Mistral and Qwen share: RMSNorm, rotary attention with grouped keys, and
// a gated MLP, under Llama's tensor names. A family file says where it differs.
#pragma once

#include "load/family.h"

namespace karat {

/// What a family's transformers class takes for granted when config.json is silent.
struct LlamaDefaults {
  std::int64_t max_positions = 2048;
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden / heads
  double theta = 10000, eps = 1e-6;
  bool tied = false;
  const char* activation = "silu";
  std::int32_t bos = -1, eos = -1;
};
struct LlamaBiases {
  bool qkv = false, o = false, mlp = false;
};

Architecture llama_like(const ConfigReader& config, const LlamaDefaults& defaults,
                        const LlamaBiases& biases);

/// RMSNorm on every head of q and k, as in Qwen3.
void set_head_norms(Architecture& arch);

/// Windows as Qwen2 and Qwen3 spell them: use_sliding_window with sliding_window, and layer_types
/// or max_window_layers (`first` when it is silent) for which blocks have one.
void set_qwen_windows(const ConfigReader& config, Architecture& arch, std::int64_t first = 28);

/// Windows as Mistral spells them: sliding_window, null for none, in every block or by layer_types.
void set_mistral_windows(const ConfigReader& config, Architecture& arch);

}  // namespace karat
