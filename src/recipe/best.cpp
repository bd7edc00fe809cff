#include "recipe/best.h"

#include <algorithm>
#include <numeric>

namespace karat {

// 0.29 · 100 is 28.999… in binary.
std::int64_t share(double ratio, std::int64_t count) {
  return static_cast<std::int64_t>(ratio * static_cast<double>(count) * (1 + 1e-12));
}

void append_best(const float* scores, std::int64_t size, std::int64_t count, std::int64_t offset,
                 std::vector<std::int64_t>& result) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::nth_element(order.begin(), order.begin() + count, order.end(), [&](auto a, auto b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  order.resize(static_cast<std::size_t>(count));
  std::sort(order.begin(), order.end());
  for (const std::int64_t index : order) result.push_back(offset + index);
}

torch::Tensor best(const torch::Tensor& worth, std::int64_t count) {
  const torch::Tensor flat = worth.to(torch::kCPU).to(torch::kFloat32).contiguous();
  std::vector<std::int64_t> result;
  append_best(flat.data_ptr<float>(), flat.numel(), count, 0, result);
  return torch::tensor(result, torch::kInt64);
}

}  // namespace karat
