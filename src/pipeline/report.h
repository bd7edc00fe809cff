// Parts that the JSON of several reports has.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "karat/calibrate.h"
#include "karat/recipe.h"

namespace karat {

/// The recipe as `karat quantize` takes it.
nlohmann::ordered_json recipe_json(const Recipe& recipe);
/// null for an empty set; a loss of 0 was not computed.
nlohmann::ordered_json calibration_json(const std::optional<CalibrationSet>& set, double loss);
/// Bytes that this process had in memory at its peak.
std::int64_t peak_memory();

}  // namespace karat
