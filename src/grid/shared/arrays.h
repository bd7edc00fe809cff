// From tensors to the plain arrays that karat/packed.h packs, for every grid.
#pragma once

#include "karat/axes.h"

namespace karat {

template <class T>
std::vector<T> to_vector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kCPU).contiguous();
  const T* data = static_cast<const T*>(flat.data_ptr());
  return {data, data + flat.numel()};
}
inline std::vector<std::uint16_t> half_bits(const torch::Tensor& tensor) {
  return to_vector<std::uint16_t>(tensor.to(torch::kFloat16));
}

/// What every grid's store ends with. Adds the kept weights to `matrix` as FP16 residuals over
/// `decoded` [out, in], and the basis; `decoded` becomes what all of it decodes to. With a rotation
/// the solution's kept weights are of the basis before it.
void finish(const Solution& solution, PackedMatrix& matrix, torch::Tensor& decoded);

}  // namespace karat
