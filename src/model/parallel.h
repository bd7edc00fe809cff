// Independent pieces of LibTorch work on the cores of the CPU, cut by index: results do not depend
// on how many threads there are.
#pragma once

#include <cstdint>
#include <functional>

#include "karat/torch.h"

namespace karat {

/// Calls body(0) … body(count − 1), without recording a graph. On the CPU they run on LibTorch's
/// own threads, and LibTorch and the BLAS stay on one thread inside; elsewhere they run in order.
void parallel_indices(std::int64_t count, torch::Device device,
                      const std::function<void(std::int64_t)>& body);

}  // namespace karat
