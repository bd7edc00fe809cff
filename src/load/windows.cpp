#include <fmt/format.h>

#include "load/family.h"

namespace karat {

void set_windows(const ConfigReader& config, Architecture& arch, std::int64_t window,
                 const std::function<bool(std::size_t)>& slides) {
  const bool listed = config.holds("layer_types");
  const nlohmann::json types = listed ? config.json()["layer_types"] : nlohmann::json();
  if (listed && (!types.is_array() || types.size() != arch.blocks.size()))
    config.reject("layer_types", fmt::format("a list of {} types", arch.blocks.size()));
  for (std::size_t i = 0; i < arch.blocks.size(); ++i) {
    if (listed && types[i] != "sliding_attention" && types[i] != "full_attention")
      config.reject("layer_types", "sliding_attention or full_attention for every layer");
    const bool slide = listed ? types[i] == "sliding_attention" : slides(i) && window > 0;
    if (slide && window == 0) config.reject("layer_types", "full_attention without a window");
    arch.blocks[i].window = slide ? window : 0;
  }
}

}  // namespace karat
