// The decoder that Llama, Mistral and Qwen share: RMSNorm, rotary attention with grouped keys, and
// a gated MLP, under Llama's tensor names. A family file says where it differs.
#pragma once

#include "load/family.h"

namespace karat {

/// What a family's transformers class takes for granted when config.json is silent, and under which
/// key it says so.
struct LlamaDefaults {
  std::int64_t max_positions = 2048;
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden / heads
  RopeQuestion rope = {};
  double eps = 1e-6;
  const char* eps_key = "rms_norm_eps";
  Norm::Kind norm = Norm::Kind::rms;
  bool tied = false;
  const char* activation = "silu";
  const char* activation_key = "hidden_act";
  std::int32_t bos = -1, eos = -1;
};
struct LlamaBiases {
  bool qkv = false, o = false, mlp = false;
};

Architecture llama_like(const ConfigReader& config, const LlamaDefaults& defaults,
                        const LlamaBiases& biases);

/// Calls change(block, "model.layers.7.", 7) for every block.
void change_blocks(Architecture& arch,
                   const std::function<void(Block&, const std::string&, std::size_t)>& change);

Norm renamed(Norm norm, std::string name);

/// A norm of this name on every head of q and k, like the block's first: as in Qwen3.
void set_head_norms(Architecture& arch, const std::string& q = "q_norm",
                    const std::string& k = "k_norm");

/// Norms over all of q and all of k, as in OLMo 2.
void set_whole_norms(Architecture& arch);

/// Norms on what attention and MLP give and none on what they read, as in OLMo 2.
void set_norms_after(Architecture& arch);

/// gate and up in one layer, as in Phi-3.
void fuse_gate_and_up(Architecture& arch);

/// down(act(up(x))) with layers of these names.
void set_plain_mlp(Architecture& arch, const std::string& up, const std::string& down);

/// Attention and MLP read what one norm gives, and are added together.
void share_norm(Architecture& arch);

/// Windows as Qwen2 and Qwen3 spell them: use_sliding_window with sliding_window, and layer_types
/// or max_window_layers (`first` when it is silent) for which blocks have one.
void set_qwen_windows(const ConfigReader& config, Architecture& arch, std::int64_t first = 28);

/// Windows in all blocks but every `pattern`-th, unless layer_types says which.
void set_windows_but_every(const ConfigReader& config, Architecture& arch, std::int64_t window,
                           std::int64_t pattern);

/// Windows as Mistral spells them: sliding_window, null for none, in every block or by layer_types.
void set_mistral_windows(const ConfigReader& config, Architecture& arch);

}  // namespace karat
