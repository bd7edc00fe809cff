// Which are the best of many: what selectors, detach and the foretelling of sizes have in common.
#pragma once

#include <cstdint>
#include <vector>

#include "karat/torch.h"

namespace karat {

/// floor(ratio·count); a share that misses a whole number by rounding alone is meant whole.
std::int64_t share(double ratio, std::int64_t count);
/// Flat indices, ascending, of the `count` best of a tensor, ties going to the lower index.
torch::Tensor best(const torch::Tensor& worth, std::int64_t count);
/// The same of scores[0, size), `offset` + index each, added to `result`.
void append_best(const float* scores, std::int64_t size, std::int64_t count, std::int64_t offset,
                 std::vector<std::int64_t>& result);

}  // namespace karat
