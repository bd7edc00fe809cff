// What measuring found, as a file of the work folder.
#pragma once

#include <filesystem>

#include "pipeline/steps.h"

namespace karat {

/// Complete or not at all.
void write_measured(const std::filesystem::path& file, const Measured& found);
Measured read_measured(const std::filesystem::path& file);

}  // namespace karat
