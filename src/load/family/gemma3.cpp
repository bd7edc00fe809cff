// The text of Gemma 3 with images (Gemma Team 2025): that of Gemma 3. Such folders leave out of
// text_config what the class of the smallest of them says.
#include "load/text_tower.h"

namespace karat {

Architecture gemma3_family(const ConfigReader& config) {
  config.harmless({"mm_tokens_per_image", "boi_token_index", "eoi_token_index"});
  return text_tower(config,
                    nlohmann::json::object({{"model_type", "gemma3_text"},
                                            {"vocab_size", 262208},
                                            {"hidden_size", 2304},
                                            {"intermediate_size", 9216},
                                            {"num_hidden_layers", 26},
                                            {"num_attention_heads", 8},
                                            {"num_key_value_heads", 4}}),
                    /*tied=*/true);
}

}  // namespace karat
