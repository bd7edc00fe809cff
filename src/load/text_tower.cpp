#include "load/text_tower.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "load/llama_like.h"

namespace karat {
namespace {

Architecture placed(const ConfigReader& config, Architecture arch, bool tied) {
  if (config.flag_or("tie_word_embeddings", tied)) arch.head = arch.embedding;
  arch.places = {{"model.language_model.", ""},
                 {"language_model.model.", "language_model."},
                 {"language_model.", ""}};
  for (const char* part : {"visual.", "vision_tower.", "multi_modal_projector.", "image_newline"})
    for (const char* holder : {"", "model."}) arch.left_alone.push_back(std::string(holder) + part);
  config.harmless({"vision_config", "image_token_id", "image_token_index", "video_token_id",
                   "vision_token_id", "vision_start_token_id", "vision_end_token_id",
                   "vision_feature_layer", "vision_feature_select_strategy", "image_seq_length",
                   "image_grid_pinpoints", "projector_hidden_act", "multimodal_projector_bias",
                   "spatial_merge_size"});
  return arch;
}

}  // namespace

Architecture text_tower(const ConfigReader& config, FamilyFn read) {
  const bool inside = config.holds("text_config");
  return placed(config, read(inside ? config.object("text_config") : config), false);
}

Architecture text_tower(const ConfigReader& config, const nlohmann::json& silent, bool tied) {
  nlohmann::json merged = silent;
  if (config.holds("text_config")) merged.update(config.object("text_config").json());
  const ConfigReader text = config.nested("text_config", std::move(merged));
  const auto family = family_table().find(text.text_or("model_type", ""));
  if (family == family_table().end())
    text.reject("model_type", fmt::format("one of {}", fmt::join(known_families(), ", ")));
  return placed(config, family->second(text), tied);
}

Architecture qwen2_vl_text(const ConfigReader& config) {
  Architecture arch = llama_like(config,
                                 {.max_positions = 32768,
                                  .kv_heads = 8,
                                  .rope = {.theta = 1e6},
                                  .eps = 1e-5,
                                  .bos = 151643,
                                  .eos = 151645},
                                 {.qkv = true});
  set_qwen_windows(config, arch, 80);
  return arch;
}

}  // namespace karat
