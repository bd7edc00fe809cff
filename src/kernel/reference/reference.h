// The functions of the reference set that are not in the file of its table.
#pragma once

#include "kernel/kernel.h"

namespace karat::reference {

void matmul(const MatrixView& matrix, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end);

void multiply_add(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
                  std::int64_t a_stride, float* c, std::int64_t c_stride);
/// Values stay in the order of the inputs.
void round_input(const MatrixView& matrix, const float* x, std::int8_t* values, float* scales,
                 float* sums);

}  // namespace karat::reference
