// The text of Qwen2-VL (Wang et al. 2024). Its rotary embedding has one position for text.
#include "load/text_tower.h"

namespace karat {

Architecture qwen2_vl_family(const ConfigReader& config) {
  return text_tower(config, qwen2_vl_text);
}

}  // namespace karat
