// Whether all numbers of a tensor are numbers; of any tensor type, since this layer knows none.
#pragma once

namespace karat {

/// No element of `x` is NaN or infinite. The sum settles it without a mask in all but bad cases.
template <class Tensor>
bool all_finite(const Tensor& x) {
  return x.sum().isfinite().template item<bool>() || x.isfinite().all().template item<bool>();
}

}  // namespace karat
