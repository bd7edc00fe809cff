// Whether a sweep can find what is asked for.
#pragma once

#include "karat/calibrate.h"

namespace karat {

/// Throws Error on needs that exclude each other, or that the model or the sequences do not allow.
void check_set(const Architecture& arch, const CalibrationSet& set, const SweepOptions& options);

}  // namespace karat
