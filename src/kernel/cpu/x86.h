// The border between code for every CPU and units compiled for one instruction set.
#pragma once

#include "kernel/kernel.h"

namespace karat::avx2 {

/// Replaces the functions of `set` that have an AVX2 twin. Defined in an AVX2 unit: call it only on
/// a CPU that has AVX2.
void fill_table(KernelSet& set);

}  // namespace karat::avx2
