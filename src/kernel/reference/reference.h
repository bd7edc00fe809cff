// The functions of the reference set that are not in the file of its table.
#pragma once

#include "kernel/kernel.h"

namespace karat::reference {

void matmul(const MatrixView& matrix, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end);

}  // namespace karat::reference
