// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, fused q|k|v, weights stored [in, out].
#include <fmt/format.h>

#include "load/family.h"

namespace karat {
namespace {

Block make_block(const Architecture& arch, const std::string& name, float eps) {
  Block block;
  block.attention.kind = AttentionKind::fused;
  block.attention.norm = {name + ".ln_1", arch.hidden, Norm::Kind::layer, eps};
  block.attention.qkv = {name + ".attn.c_attn", 3 * arch.hidden, arch.hidden, true, true};
  block.attention.o = {name + ".attn.c_proj", arch.hidden, arch.hidden, true, true};
  block.mlp.kind = MlpKind::plain;
  block.mlp.norm = {name + ".ln_2", arch.hidden, Norm::Kind::layer, eps};
  block.mlp.up = {name + ".mlp.c_fc", arch.ffn, arch.hidden, true, true};
  block.mlp.down = {name + ".mlp.c_proj", arch.hidden, arch.ffn, true, true};
  return block;
}

}  // namespace

Architecture gpt2_family(const ConfigReader& config) {
  config.only("scale_attn_weights", true);
  config.only("scale_attn_by_inverse_layer_idx", false);
  config.only("reorder_and_upcast_attn", false);
  config.only("add_cross_attention", false);
  config.harmless({"n_ctx", "summary_type", "summary_use_proj", "summary_activation",
                   "summary_proj_to_labels", "summary_first_dropout"});

  Architecture arch;
  arch.vocab = config.count("vocab_size");
  arch.hidden = config.count("n_embd");
  arch.heads = arch.kv_heads = config.count("n_head");
  if (arch.hidden % arch.heads != 0) config.reject("n_head", "a divisor of n_embd");
  arch.head_dim = arch.hidden / arch.heads;
  arch.ffn = config.count_or("n_inner", 4 * arch.hidden);
  arch.max_positions = config.count("n_positions");
  arch.activation = config.activation_or("activation_function", "gelu_new");
  arch.embedding = "transformer.wte.weight";
  arch.positions = "transformer.wpe.weight";
  arch.head = config.flag_or("tie_word_embeddings", true) ? arch.embedding : "lm_head.weight";

  const auto eps = static_cast<float>(config.positive_or("layer_norm_epsilon", 1e-5));
  const std::int64_t layers = config.layers("n_layer");
  for (std::int64_t i = 0; i < layers; ++i)
    arch.blocks.push_back(make_block(arch, fmt::format("transformer.h.{}", i), eps));
  arch.final_norm = {"transformer.ln_f", arch.hidden, Norm::Kind::layer, eps};

  const auto bos = config.token_ids("bos_token_id", 50256, arch.vocab);
  if (!bos.empty()) arch.bos = bos.front();
  arch.eos = config.token_ids("eos_token_id", 50256, arch.vocab);
  return arch;
}

}  // namespace karat
