// k-means of weighted numbers, exactly.
#pragma once

#include <span>
#include <vector>

namespace karat {

/// The `k` centres, ascending, that minimise Σ weight·(point − nearest centre)². `points` ascend;
/// weights are not negative (all 0 counts as all alike). O(k n log n), n the distinct points that
/// weigh something. With fewer of them than centres the last centre repeats.
std::vector<float> kmeans(std::span<const float> points, std::span<const float> weights, int k);

}  // namespace karat
