// Inputs of matrices that are multiplied in the basis of a block Hadamard transform, and rounded
// there (docs/format.md, section 12).
#pragma once

#include "kernel/matrix.h"

namespace karat {

/// x [in] of one token becomes x (1 ⊗ H), H orthonormal; then, where the matrix rounds its inputs,
/// the odd number of half steps nearest to each. Returns what these stand for multiples of: half
/// the step, NaN where an x is not finite, and 1 without rounding. The same bits on every x86 CPU.
float turn_input(const MatrixView& matrix, float* x);

/// Whether x becomes the same for both, and their products are both multiplied by row scales.
bool turned_alike(const MatrixView& a, const MatrixView& b);

}  // namespace karat
