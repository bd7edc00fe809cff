// The quantization that a metric with a path looks back on when nothing is being quantized.
#pragma once

#include "pipeline/steps.h"
#include "pipeline/work.h"

namespace karat {

/// A recipe of a metric and a grid, for measuring alone.
Assembled metric_alone(const std::string& metric, const std::string& grid);
/// Plain rounding to the grid of `recipe`.
Assembled rounding(const Assembled& recipe);

/// The blocks of `folder`, a Karat folder made from `model`, or, if that is empty, of plain
/// rounding to the grid of `recipe`; kept in `work`. Throws when the folder was made from another
/// model.
BlockStore quantization_of(const Source& model, const Assembled& recipe, const CalibrationSet& text,
                           const std::filesystem::path& folder, const Work& work,
                           const ProgressFn& progress);
std::string name_of_quantization(const Assembled& recipe, const std::filesystem::path& folder);

}  // namespace karat
