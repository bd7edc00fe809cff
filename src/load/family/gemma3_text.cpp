// Gemma 3 (Gemma Team 2025): norms as in Gemma 2, and on q and k; five of six blocks have a window
// and a rotary embedding of their own.
#include "load/gemma_like.h"

namespace karat {

Architecture gemma3_text_family(const ConfigReader& config) {
  return gemma3_text(config);
}

}  // namespace karat
