// An explanation from its parts, for explain() and for tests with nodes and weights of their own.
#pragma once

#include <vector>

#include "karat/explain.h"
#include "pipeline/path.h"

namespace karat {

/// All numbers of a report; `nodes` are the metric's.
ExplainReport explain(const Source& model, const CalibrationSet& text, const DecodeBlock& quantized,
                      const std::vector<PathNode>& nodes,
                      const std::vector<std::int64_t>& intervals, const ProgressFn& progress);

}  // namespace karat
