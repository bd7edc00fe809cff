// The text of Qwen2.5-VL (Bai et al. 2025), which is that of Qwen2-VL.
#include "load/text_tower.h"

namespace karat {

Architecture qwen2_5_vl_family(const ConfigReader& config) {
  return text_tower(config, qwen2_vl_text);
}

}  // namespace karat
