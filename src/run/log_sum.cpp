#include "run/log_sum.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernel/kernel.h"

namespace karat {

double log_sum_exp(std::span<const float> x, float largest) {
  std::array<float, 512> part{};
  const KernelSet& set = kernels();
  double sum = 0;
  for (std::size_t begin = 0; begin < x.size(); begin += part.size()) {
    const auto here = x.subspan(begin, std::min(part.size(), x.size() - begin));
    std::transform(here.begin(), here.end(), part.begin(),
                   [=](float value) { return value - largest; });
    const ExpSum of = set.exponentials(part.data(), static_cast<std::int64_t>(here.size()));
    sum += static_cast<double>(of.sum) * std::exp(static_cast<double>(of.top));
  }
  return std::log(sum);
}

}  // namespace karat
