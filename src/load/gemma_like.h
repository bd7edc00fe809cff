// What the later Gemmas share: sandwich norms of 1 + weight, a scale of scores, soft caps, windows.
#pragma once

#include "load/llama_like.h"

namespace karat {

/// Gemma 2's decoder. `pattern`: every so many blocks one has no window, unless layer_types says
/// which; `caps`: those of scores and of logits where config.json is silent (0: none).
struct GemmaDefaults {
  std::int64_t max_positions = 8192;
  RopeQuestion rope = {};
  std::int64_t pattern = 2;
  double score_cap = 0, logit_cap = 0;
};

Architecture gemma_like(const ConfigReader& config, const GemmaDefaults& defaults);

/// Norms multiply by 1 + weight.
void set_norm_offsets(Architecture& arch);

/// The text of Gemma 3.
Architecture gemma3_text(const ConfigReader& config);

}  // namespace karat
