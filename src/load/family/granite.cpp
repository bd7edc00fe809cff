// Granite 3 (IBM 2024): Llama with a factor on embeddings, scores, residuals and logits.
#include "load/granite_like.h"

namespace karat {

Architecture granite_family(const ConfigReader& config) {
  return granite_like(config, config.flag_or("mlp_bias", false));
}

}  // namespace karat
