// The text of LLaVA (Liu et al. 2023): Llama, or another family that text_config names.
#include "load/text_tower.h"

namespace karat {

Architecture llava_family(const ConfigReader& config) {
  return text_tower(config, nlohmann::json::object({{"model_type", "llama"},
                                                    {"vocab_size", 32000},
                                                    {"hidden_size", 4096},
                                                    {"intermediate_size", 11008},
                                                    {"num_hidden_layers", 32},
                                                    {"num_attention_heads", 32}}));
}

}  // namespace karat
