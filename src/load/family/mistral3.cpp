// The text of Mistral Small 3.1 and later: Mistral, or another family that text_config names.
#include "load/text_tower.h"

namespace karat {

Architecture mistral3_family(const ConfigReader& config) {
  return text_tower(config, nlohmann::json::object({{"model_type", "mistral"}}), /*tied=*/true);
}

}  // namespace karat
