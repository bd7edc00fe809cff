// A tensor's values as bytes for a safetensors file.
#pragma once

#include <string>

#include "karat/tensor_view.h"
#include "karat/torch.h"

namespace karat {

inline OwnedTensor to_owned(const std::string& name, const torch::Tensor& values) {  // F32
  const torch::Tensor flat = values.to(torch::kCPU).contiguous();
  const auto* bytes = static_cast<const std::byte*>(flat.data_ptr());
  return own_bytes(name, DType::f32, values.sizes().vec(),
                   {bytes, static_cast<std::size_t>(flat.numel()) * sizeof(float)});
}

}  // namespace karat
