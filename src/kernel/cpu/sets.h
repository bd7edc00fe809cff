// The border between code for every CPU and units compiled for one instruction set.
#pragma once

#include <vector>

#include "kernel/kernel.h"

namespace karat {

/// The sets of this build that this CPU can run, slowest first, without the reference.
std::vector<KernelSet> cpu_kernels();

}  // namespace karat
