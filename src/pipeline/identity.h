// Whether two pieces of work are the same.
#pragma once

#include <string>

#include "pipeline/steps.h"

namespace karat {

/// SHA-256 of what the bytes of a result depend on: config.json, every tensor's name, type, shape
/// and all its bytes, the recipe, and the token sequences. Names, sizes and times of files do not
/// count. A gigabyte takes a second or two of one core; more than that shows as a stage of
/// progress.
std::string fingerprint(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                        const ProgressFn& progress = {});

}  // namespace karat
