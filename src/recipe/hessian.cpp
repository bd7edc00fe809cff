#include "recipe/hessian.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/finite.h"
#include "karat/error.h"

namespace karat {
namespace {

void check_finite(const torch::Tensor& hessian, const std::string& layer) {
  if (!all_finite(hessian))
    fail("hessian of " + layer, "NaN or infinite values", "finite activations",
         "the model overflows on this calibration text");
}

}  // namespace

HessianChoice choose_hessian(Options& options) {
  const std::string name = options.choice("hessian", "inputs", {"inputs", "guided"},
                                          "of the layer's output error, or of the loss");
  const bool guided = name == "guided";
  HessianChoice choice{.needs = {.hessian = !guided, .guided = guided}};
  choice.of = [guided, name](const Layer& layer) {
    const torch::Tensor& found = guided ? layer.stats.guided : layer.stats.hessian;
    if (!found.defined())
      fail("hessian of " + layer.name, "no statistic", "hessian=" + name + " from calibration");
    check_finite(found, layer.name);
    return found;
  };
  return choice;
}

torch::Tensor inverse_factor(const torch::Tensor& hessian, double damp, const std::string& layer) {
  check_finite(hessian, layer);
  torch::Tensor h = hessian.to(torch::kFloat32).clone();
  torch::Tensor diagonal = h.diagonal();
  diagonal.masked_fill_(diagonal == 0, 1);
  const double mean = diagonal.mean().item<double>();
  const torch::Tensor identity = torch::eye(h.size(0), h.options());
  for (double share = damp;; share = std::min(1.0, share * 10)) {
    // Flipping both ways turns the lower factor M of H into R with H = R Rᵀ, R upper; U = R⁻¹.
    const torch::Tensor flipped = (h + share * mean * identity).flip({0, 1});
    const auto [lower, info] = torch::linalg_cholesky_ex(flipped);
    if (info.item<int>() == 0) {
      const torch::Tensor inverse =
          torch::linalg_solve_triangular(lower, identity, /*upper=*/false);
      if (all_finite(inverse)) return inverse.flip({0, 1}).contiguous();
    }
    if (share >= 1)
      fail("hessian of " + layer, "a matrix that is not positive definite",
           "one that Cholesky can factor", "use more calibration text");
  }
}

double energy(const torch::Tensor& error, const torch::Tensor& hessian) {
  constexpr std::int64_t kBlock = 512;
  double sum = 0;
  for (std::int64_t begin = 0; begin < error.size(1); begin += kBlock) {
    const std::int64_t end = std::min(error.size(1), begin + kBlock);
    const torch::Tensor here = error.slice(1, begin, end);
    const auto with = [&](std::int64_t first, std::int64_t last) {
      const torch::Tensor part = hessian.slice(0, first, last).slice(1, begin, end);
      return (error.slice(1, first, last).matmul(part) * here).sum(torch::kFloat64).item<double>();
    };
    // What lies above the blocks on the diagonal stands for what lies below as well.
    sum += with(begin, end) + (begin > 0 ? 2 * with(0, begin) : 0);
  }
  return sum;
}

}  // namespace karat
