// LibTorch, with its own warnings kept out of ours. Only headers of the `karat` library include it.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <torch/torch.h>
#pragma GCC diagnostic pop
