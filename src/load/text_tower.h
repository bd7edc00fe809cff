// The language model inside a model of images and text. Karat runs its text alone: the tower for
// images is left as it is, never required and never changed.
#pragma once

#include "load/family.h"

namespace karat {

/// Reads config.json's text_config, or config.json itself where older ones have no such object,
/// with `read`, and says where such checkpoints hold the tensors.
Architecture text_tower(const ConfigReader& config, FamilyFn read);

/// The same, read by the family that text_config names; `silent` says what holds for the keys that
/// text_config leaves out, model_type among them, `tied` whether a silent config ties its head.
Architecture text_tower(const ConfigReader& config, const nlohmann::json& silent,
                        bool tied = false);

/// The text of Qwen2-VL and Qwen2.5-VL: Qwen2 with defaults of its own.
Architecture qwen2_vl_text(const ConfigReader& config);

}  // namespace karat
