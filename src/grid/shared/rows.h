// Slabs as plain rows of numbers, for fits whose inner loop is no tensor operation.
#pragma once

#include <span>

#include "karat/axes.h"

namespace karat {

/// A tensor [rows, n] in the CPU's memory; the rows of an undefined one are empty.
template <class T>
class Rows {
 public:
  explicit Rows(const torch::Tensor& tensor)
      : plain_(tensor.defined() ? tensor.to(torch::kCPU).contiguous() : tensor) {}
  std::span<const T> operator[](std::int64_t row) const {
    if (!plain_.defined()) return {};
    const std::int64_t n = plain_.size(1);
    return {plain_.template data_ptr<T>() + row * n, static_cast<std::size_t>(n)};
  }

 private:
  torch::Tensor plain_;
};

}  // namespace karat
