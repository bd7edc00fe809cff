// OPT (Zhang et al. 2022): learned positions whose first two rows are never used, LayerNorm, a
// plain MLP of ReLU.
#include <fmt/format.h>

#include "load/family.h"

namespace karat {
namespace {

Block make_block(const Architecture& arch, const std::string& name, bool bias) {
  const auto square = [&](const char* part) {
    return Linear{name + ".self_attn." + part, arch.hidden, arch.hidden, bias};
  };
  Block block;
  block.attention.norm = arch.final_norm;
  block.attention.norm->name = name + ".self_attn_layer_norm";
  block.attention.q = square("q_proj");
  block.attention.k = square("k_proj");
  block.attention.v = square("v_proj");
  block.attention.o = square("out_proj");
  block.mlp.kind = MlpKind::plain;
  block.mlp.norm = arch.final_norm;
  block.mlp.norm->name = name + ".final_layer_norm";
  block.mlp.up = {name + ".fc1", arch.ffn, arch.hidden, bias};
  block.mlp.down = {name + ".fc2", arch.hidden, arch.ffn, bias};
  return block;
}

}  // namespace

Architecture opt_family(const ConfigReader& config) {
  config.only("do_layer_norm_before", true);
  config.only("_remove_final_layer_norm", false);
  config.only("layer_norm_elementwise_affine", true);
  config.harmless({"init_std"});
  Architecture arch;
  arch.vocab = config.count("vocab_size");
  arch.hidden = config.count("hidden_size");
  if (config.count_or("word_embed_proj_dim", arch.hidden) != arch.hidden)
    config.reject("word_embed_proj_dim", "hidden_size: Karat does not compute projections of it");
  arch.heads = arch.kv_heads = config.count("num_attention_heads");
  if (arch.hidden % arch.heads != 0)
    config.reject("num_attention_heads", "a divisor of hidden_size");
  arch.head_dim = arch.hidden / arch.heads;
  arch.ffn = config.count("ffn_dim");
  arch.max_positions = config.count_or("max_position_embeddings", 2048);
  arch.activation = config.activation_or("activation_function", "relu");
  arch.embedding = "model.decoder.embed_tokens.weight";
  arch.positions = "model.decoder.embed_positions.weight";
  arch.position_offset = 2;
  arch.head = config.flag_or("tie_word_embeddings", true) ? arch.embedding : arch.own_head;
  arch.final_norm = {"model.decoder.final_layer_norm", arch.hidden, Norm::Kind::layer, 1e-5f};
  const bool bias = config.flag_or("enable_bias", true);
  const std::int64_t layers = config.layers("num_hidden_layers");
  for (std::int64_t i = 0; i < layers; ++i)
    arch.blocks.push_back(make_block(arch, fmt::format("model.decoder.layers.{}", i), bias));
  const auto bos = config.token_ids("bos_token_id", 2, arch.vocab);
  if (!bos.empty()) arch.bos = bos.front();
  arch.eos = config.token_ids("eos_token_id", 2, arch.vocab);
  return arch;
}

}  // namespace karat
