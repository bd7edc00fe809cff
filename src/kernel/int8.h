// Activations as 8-bit integers, and the matrices that kernels multiply with them. Data alone:
// units compiled for one instruction set include it.
#pragma once

#include <cstdint>

#include "kernel/matrix.h"

namespace karat {

inline constexpr std::int64_t kInt8Block = 128;  // inputs
inline constexpr std::int64_t kInt8Scales = 8;   // of a block: one for 16 of its inputs

/// x̂ = scale · value, in whole blocks of inputs, the last one filled with zeros. Values lie in the
/// order that a set's kernels want. A scale is the largest |x| / 127, and NaN where an x is not
/// finite; all are 1 for a matrix with an input_grid.
struct Int8Input {
  std::int64_t blocks = 0, sums_stride = 0;  // of a token; the latter is a multiple of 8
  const std::int8_t* values = nullptr;       // [tokens, blocks, kInt8Block]
  const float* scales = nullptr;             // [tokens, blocks, kInt8Scales]
  const float* sums = nullptr;  // [tokens, sums_stride] Σ x̂ of each unit, then zeros
};

/// Whether a matrix may be multiplied with an Int8Input (CodeFacts::int8).
bool takes_int8(const MatrixView& matrix);
/// Inputs of a unit of a matrix that takes it: a block, or, where groups are smaller or codes stand
/// for values, the largest power of two up to 64 that divides the group.
std::int64_t int8_unit(const MatrixView& matrix);
/// Whether units are smaller than blocks; one that takes it has kernels of its own then.
bool has_small_units(const MatrixView& matrix);
/// Whether the 16 inputs that share a scale are 16 in a row; else they are those whose codes meet
/// in one lane of a sum.
bool scales_in_rows(const MatrixView& matrix);
/// The scale that input i of a block has.
std::int64_t int8_scale(const MatrixView& matrix, std::int64_t i);

}  // namespace karat
