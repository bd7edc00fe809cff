// The parts of a batch when several ranks compute it: part i is rank i mod size's.
#pragma once

#include <filesystem>
#include <vector>

#include "karat/ranks.h"
#include "tuner/shared/training_policy.h"

namespace karat {

/// The values of `parts` parts in their order, of which `own` are this rank's.
std::vector<double> values_of_all(Ranks& ranks, const std::vector<double>& own, std::int64_t parts);

/// The sum of `parts` parts, added in their order as one rank would: each rank adds a share of the
/// numbers, of all parts. `own` are this rank's.
LossAndGradients sum_of_all(Ranks& ranks, const std::vector<LossAndGradients>& own,
                            const Weights& leaves, std::int64_t parts);

/// Writes what `file` holds on rank 0 to `file` of every other rank.
void copy_of_first(Ranks& ranks, const std::filesystem::path& file);

}  // namespace karat
