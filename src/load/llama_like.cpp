#include "load/llama_like.h"

#include <fmt/format.h>

#include "karat/error.h"

namespace karat {
namespace {

void read_sizes(const ConfigReader& config, const LlamaDefaults& defaults, Architecture& arch) {
  arch.vocab = config.count("vocab_size");
  arch.hidden = config.count("hidden_size");
  arch.ffn = config.count("intermediate_size");
  arch.heads = config.count("num_attention_heads");
  arch.max_positions = config.count_or("max_position_embeddings", defaults.max_positions);

  const bool silent = !config.has("num_key_value_heads") && defaults.kv_heads > 0;
  arch.kv_heads = config.count_or("num_key_value_heads", silent ? defaults.kv_heads : arch.heads);
  if (arch.heads % arch.kv_heads != 0)
    config.reject("num_key_value_heads",
                  fmt::format("a divisor of the {} attention heads", arch.heads));

  const std::int64_t quotient = arch.hidden / arch.heads;
  const bool derived =
      !config.holds("head_dim") && (defaults.head_dim == 0 || config.has("head_dim"));
  arch.head_dim = config.count_or("head_dim", derived ? quotient : defaults.head_dim);
  if (derived && quotient * arch.heads != arch.hidden)
    config.reject("num_attention_heads", fmt::format("a divisor of hidden_size {}", arch.hidden));
}

Block make_block(const Architecture& arch, const std::string& name, const LlamaBiases& biases) {
  const std::int64_t q = arch.heads * arch.head_dim, kv = arch.kv_heads * arch.head_dim;
  Block block;
  block.rope = 0;
  Attention& attention = block.attention;
  attention.norm = renamed(arch.final_norm, name + ".input_layernorm");
  attention.q = {name + ".self_attn.q_proj", q, arch.hidden, biases.qkv};
  attention.k = {name + ".self_attn.k_proj", kv, arch.hidden, biases.qkv};
  attention.v = {name + ".self_attn.v_proj", kv, arch.hidden, biases.qkv};
  attention.o = {name + ".self_attn.o_proj", arch.hidden, q, biases.o};
  Mlp& mlp = block.mlp;
  mlp.norm = renamed(arch.final_norm, name + ".post_attention_layernorm");
  mlp.gate = {name + ".mlp.gate_proj", arch.ffn, arch.hidden, biases.mlp};
  mlp.up = {name + ".mlp.up_proj", arch.ffn, arch.hidden, biases.mlp};
  mlp.down = {name + ".mlp.down_proj", arch.hidden, arch.ffn, biases.mlp};
  return block;
}

/// Positions end where a rope does.
void keep_within(const Rope& rope, const ConfigReader& config, Architecture& arch) {
  if (rope.context == 0 || rope.context >= arch.max_positions) return;
  arch.warnings.push_back(fmt::format(
      "{} says longrope, of which Karat computes contexts of up to {} tokens and not of {}",
      config.path(), rope.context, arch.max_positions));
  arch.max_positions = rope.context;
}

}  // namespace

Norm renamed(Norm norm, std::string name) {
  norm.name = std::move(name);
  return norm;
}

Architecture llama_like(const ConfigReader& config, const LlamaDefaults& defaults,
                        const LlamaBiases& biases) {
  Architecture arch;
  read_sizes(config, defaults, arch);
  arch.activation = config.activation_or(defaults.activation_key, defaults.activation);
  arch.ropes = {read_rope(config, arch.head_dim, arch.max_positions, defaults.rope)};
  keep_within(arch.ropes[0], config, arch);
  arch.embedding = "model.embed_tokens.weight";
  arch.head =
      config.flag_or("tie_word_embeddings", defaults.tied) ? arch.embedding : "lm_head.weight";

  const auto eps = static_cast<float>(config.positive_or(defaults.eps_key, defaults.eps));
  arch.final_norm = {"model.norm", arch.hidden, defaults.norm, eps};
  const std::int64_t layers = config.layers("num_hidden_layers");
  for (std::int64_t i = 0; i < layers; ++i)
    arch.blocks.push_back(make_block(arch, fmt::format("model.layers.{}", i), biases));

  const auto bos = config.token_ids("bos_token_id", defaults.bos, arch.vocab);
  if (!bos.empty()) arch.bos = bos.front();
  arch.eos = config.token_ids("eos_token_id", defaults.eos, arch.vocab);
  return arch;
}

void change_blocks(Architecture& arch,
                   const std::function<void(Block&, const std::string&, std::size_t)>& change) {
  for (std::size_t i = 0; i < arch.blocks.size(); ++i)
    change(arch.blocks[i], fmt::format("model.layers.{}.", i), i);
}

void set_head_norms(Architecture& arch, const std::string& q, const std::string& k) {
  Norm norm = arch.final_norm;
  norm.size = arch.head_dim;
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.attention.q_norm = renamed(norm, name + "self_attn." + q);
    block.attention.k_norm = renamed(norm, name + "self_attn." + k);
  });
}

void set_whole_norms(Architecture& arch) {
  set_head_norms(arch);
  for (Block& block : arch.blocks) {
    block.attention.q_norm->size = arch.heads * arch.head_dim;
    block.attention.k_norm->size = arch.kv_heads * arch.head_dim;
  }
}

void set_norms_after(Architecture& arch) {
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.attention.norm.reset();
    block.mlp.norm.reset();
    block.attention.out_norm = renamed(arch.final_norm, name + "post_attention_layernorm");
    block.mlp.out_norm = renamed(arch.final_norm, name + "post_feedforward_layernorm");
  });
}

void fuse_gate_and_up(Architecture& arch) {
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.mlp.kind = MlpKind::fused;
    block.mlp.gate_up = {name + "mlp.gate_up_proj", 2 * arch.ffn, arch.hidden};
  });
}

void set_plain_mlp(Architecture& arch, const std::string& up, const std::string& down) {
  change_blocks(arch, [&](Block& block, const std::string& name, std::size_t) {
    block.mlp.kind = MlpKind::plain;
    block.mlp.up.name = name + "mlp." + up;
    block.mlp.down.name = name + "mlp." + down;
  });
}

void share_norm(Architecture& arch) {
  for (Block& block : arch.blocks) {
    block.joining = Joining::shared;
    block.mlp.norm.reset();
  }
}

void set_windows_but_every(const ConfigReader& config, Architecture& arch, std::int64_t window,
                           std::int64_t pattern) {
  const auto every = static_cast<std::size_t>(pattern);
  set_windows(config, arch, window, [&](std::size_t i) { return (i + 1) % every != 0; });
}

void set_qwen_windows(const ConfigReader& config, Architecture& arch, std::int64_t first) {
  const bool null = config.has("sliding_window") && !config.holds("sliding_window");
  const bool on = config.flag_or("use_sliding_window", false) && !null;
  const std::int64_t window = on ? config.count_or("sliding_window", 4096) : 0;
  first = config.integer_or("max_window_layers", first, 0, std::int64_t{1} << 31);
  set_windows(config, arch, window,
              [first](std::size_t i) { return static_cast<std::int64_t>(i) >= first; });
}

void set_mistral_windows(const ConfigReader& config, Architecture& arch) {
  const bool none = config.has("sliding_window") && !config.holds("sliding_window");
  set_windows(config, arch, none ? 0 : config.count_or("sliding_window", 4096),
              [](std::size_t) { return true; });
}

}  // namespace karat
