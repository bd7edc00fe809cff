// GPT-NeoX (Black et al. 2022), as Pythia is: attention and MLP with a LayerNorm each, side by
// side; q, k and v of a head beside each other in one layer; a quarter of every head rotated.
#include <fmt/format.h>

#include "load/llama_like.h"

namespace karat {
namespace {

void rename_parts(const Architecture& arch, Block& block, const std::string& name, bool bias) {
  Attention& attention = block.attention;
  attention.kind = AttentionKind::grouped;
  attention.norm->name = name + ".input_layernorm";
  attention.qkv = {name + ".attention.query_key_value", 3 * arch.hidden, arch.hidden, bias};
  attention.o.name = name + ".attention.dense";
  Mlp& mlp = block.mlp;
  mlp.kind = MlpKind::plain;
  mlp.norm->name = name + ".post_attention_layernorm";
  mlp.up.name = name + ".mlp.dense_h_to_4h";
  mlp.down.name = name + ".mlp.dense_4h_to_h";
}

}  // namespace

Architecture gpt_neox_family(const ConfigReader& config) {
  const bool bias = config.flag_or("attention_bias", true);
  Architecture arch = llama_like(config,
                                 {.rope = {.theta = config.positive_or("rotary_emb_base", 10000),
                                           .partial = config.positive_or("rotary_pct", 0.25)},
                                  .eps = 1e-5,
                                  .eps_key = "layer_norm_eps",
                                  .norm = Norm::Kind::layer,
                                  .activation = "gelu",
                                  .bos = 0,
                                  .eos = 2},
                                 {.qkv = bias, .o = bias, .mlp = true});
  const bool side_by_side = config.flag_or("use_parallel_residual", true);
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    rename_parts(arch, arch.blocks[i], fmt::format("gpt_neox.layers.{}", i), bias);
    if (side_by_side) arch.blocks[i].joining = Joining::parallel;
  }
  arch.embedding = "gpt_neox.embed_in.weight";
  arch.final_norm.name = "gpt_neox.final_layer_norm";
  arch.own_head = "embed_out.weight";
  arch.head = config.flag_or("tie_word_embeddings", false) ? arch.embedding : arch.own_head;
  return arch;
}

}  // namespace karat
