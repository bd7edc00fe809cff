// What files of the later Gemmas share: norms before and after each part, windows by layer.
#include "load/gguf/family.h"

namespace karat {

std::vector<GgufName> gemma_names() {
  std::vector<GgufName> names = llama_names();
  for (GgufName& name : names)
    if (name.file == "blk.{}.ffn_norm") name.folder = "model.layers.{}.pre_feedforward_layernorm";
  names.push_back({"blk.{}.post_attention_norm", "model.layers.{}.post_attention_layernorm"});
  names.push_back({"blk.{}.post_ffw_norm", "model.layers.{}.post_feedforward_layernorm"});
  return names;
}

nlohmann::json gemma_config(const GgufKeys& keys, const std::string& model_type,
                            const GemmaFiles& files) {
  nlohmann::json config = llama_config(keys, model_type);
  config.erase("hidden_act");
  config["hidden_activation"] = "gelu_pytorch_tanh";
  const auto blocks = config["num_hidden_layers"].get<std::int64_t>(),
             hidden = config["hidden_size"].get<std::int64_t>(),
             heads = config["num_attention_heads"].get<std::int64_t>();
  const bool by_width = blocks == files.blocks_of_27b && hidden % heads == 0;
  config["query_pre_attn_scalar"] =
      by_width ? nlohmann::json(hidden / heads) : nlohmann::json(config["head_dim"]);
  const std::int64_t window =
      keys.find_integer(keys.own("attention.sliding_window")).value_or(files.window);
  const std::string key = keys.own("attention.sliding_window_pattern");
  const std::int64_t pattern = keys.has(key) ? keys.count(key) : files.pattern;
  config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
  config["layer_types"] = nlohmann::json::array();
  for (std::int64_t block = 0; block < blocks; ++block)
    config["layer_types"].push_back(window > 0 && (block + 1) % pattern != 0 ? "sliding_attention"
                                                                             : "full_attention");
  return config;
}

}  // namespace karat
