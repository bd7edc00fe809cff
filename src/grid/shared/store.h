// What storing a layer has in common, whatever its grid.
#pragma once

#include "grid/shared/arrays.h"

namespace karat {

/// Layout, shape and codes of a solution; its statistics are still to come.
PackedMatrix with_codes(const Solution& solution, const PackedLayout& layout);

/// Every group's codes as `decode` reads them with its parameters: [out, in].
torch::Tensor decode_groups(const Solution& solution, std::int64_t group,
                            const std::function<torch::Tensor(const torch::Tensor& codes,
                                                              const GridParams& params)>& decode);

/// Part `index` of every group's parameters: [out, groups, ...].
torch::Tensor gather(const std::vector<GridParams>& params, std::size_t index);

}  // namespace karat
