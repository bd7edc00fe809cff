// The parts of an evaluation's JSON that other reports hold too.
#pragma once

#include <nlohmann/json.hpp>

#include "karat/evaluate.h"

namespace karat {

/// Sets "kl", "top1_agreement", "top5_agreement" and "probability_rms".
void add_divergence(nlohmann::ordered_json& json, const Divergence& kl);

}  // namespace karat
