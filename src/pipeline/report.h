// Parts that the JSON of several reports has.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "karat/calibrate.h"

namespace karat {

/// null for an empty set; a loss of 0 was not computed.
nlohmann::ordered_json calibration_json(const std::optional<CalibrationSet>& set, double loss);

}  // namespace karat
