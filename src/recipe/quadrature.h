// Rules for an integral over [0, 1] as a weighted sum.
#pragma once

#include <string>
#include <vector>

#include "karat/axes.h"

namespace karat {

/// "midpoint", "mean_endpoints", "trapezoid", "left", "right"
const std::vector<std::string>& quadrature_rules();

/// Where to evaluate, ascending, and with which weight (they sum to 1). `count` points; trapezoid:
/// that many intervals, one point more. mean_endpoints is the plain mean at equally spaced points
/// with 0 and 1 among them, which is how the numbers of the PQI paper come about (its Table 3): its
/// error falls as 1/count, as that of left and right, and midpoint's and trapezoid's as 1/count².
/// Throws on another rule, and where `count` is too small for it.
std::vector<PathNode> path_nodes(const std::string& rule, std::int64_t count);

}  // namespace karat
