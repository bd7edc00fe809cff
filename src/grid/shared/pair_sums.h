// What least squares over tables wants of a Gram matrix.
#pragma once

#include <torch/types.h>

namespace karat {

/// [rows, size, size] F64: of each row the sums of `gram` [n, n], symmetric, F32, over the pairs of
/// inputs whose codes are a and b, P gram Pᵀ with P [size, n] = 1 where the code is a. `codes`
/// [rows, n] are bytes up to `size`, which is at most 16; an input of code `size` takes no part.
torch::Tensor pair_sums(const torch::Tensor& gram, const torch::Tensor& codes, std::int64_t size);

}  // namespace karat
