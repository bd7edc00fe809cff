#include "recipe/hessian.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/finite.h"
#include "karat/error.h"

namespace karat {
namespace {

void check_finite(const torch::Tensor& hessian, const std::string& layer) {
  if (!all_finite(hessian))
    fail("hessian of " + layer, "NaN or infinite values", "finite activations",
         "the model overflows on this calibration text");
}

torch::Tensor found(const torch::Tensor& statistic, const Layer& layer, const std::string& name) {
  if (!statistic.defined())
    fail("hessian of " + layer.name, "no statistic", "hessian=" + name + " from calibration");
  check_finite(statistic, layer.name);
  return statistic;
}

/// A factor by itself has no scale.
torch::Tensor scaled(const torch::Tensor& factor) {
  const double mean = factor.diagonal().mean().item<double>();
  return mean > 0 ? factor / mean : factor;
}

/// to = L⁻¹ of a lower triangular L, to [n, n] being 0: halves are inverted, and what lies below
/// them is −(L₂₂⁻¹ L₂₁) L₁₁⁻¹.
void invert_lower(const torch::Tensor& lower, const torch::Tensor& to) {
  constexpr std::int64_t kLeast = 256;
  const std::int64_t n = lower.size(0), half = n / 2;
  if (n <= kLeast) {
    to.copy_(torch::linalg_solve_triangular(lower, torch::eye(n, lower.options()),
                                            /*upper=*/false));
    return;
  }
  const auto part = [&](const torch::Tensor& whole, bool below, bool right) {
    return whole.slice(0, below ? half : 0, below ? n : half)
        .slice(1, right ? half : 0, right ? n : half);
  };
  invert_lower(part(lower, false, false), part(to, false, false));
  invert_lower(part(lower, true, true), part(to, true, true));
  const torch::Tensor product = part(to, true, true).matmul(part(lower, true, false));
  part(to, true, false).addmm_(product, part(to, false, false), 0, -1);
}

/// finish(lower) of the lower factor of the damped H, flipped both ways, as finite numbers.
torch::Tensor damped_factor(const torch::Tensor& hessian, double damp, const std::string& layer,
                            const auto& finish) {
  check_finite(hessian, layer);
  const torch::Tensor given = hessian.diagonal().to(torch::kFloat32);
  const torch::Tensor diagonal = given.masked_fill(given == 0, 1);
  const double mean = diagonal.mean().item<double>();
  for (double share = damp;; share = std::min(1.0, share * 10)) {
    // Matrices of 8192 inputs are 256 MiB: none is kept beyond its use.
    torch::Tensor flipped = hessian.to(torch::kFloat32).flip({0, 1});
    flipped.diagonal().copy_((diagonal + share * mean).flip(0));
    const auto [lower, info] = torch::linalg_cholesky_ex(std::exchange(flipped, {}));
    if (info.item<int>() == 0) {
      const torch::Tensor factor = finish(lower);
      if (all_finite(factor)) return factor;
    }
    if (share >= 1)
      fail("hessian of " + layer, "a matrix that is not positive definite",
           "one that Cholesky can factor", "use more calibration text");
  }
}

}  // namespace

HessianChoice choose_hessian(Options& options, Sketch sketch) {
  const bool kl = sketch != Sketch::none;
  const std::string name = options.choice("hessian", kl ? "kl" : "inputs",
                                          kl ? std::vector<std::string>{"kl", "inputs", "guided"}
                                             : std::vector<std::string>{"inputs", "guided"},
                                          "of the layer's output error, or of the loss");
  HessianChoice choice{.needs = {.hessian = name == "inputs", .guided = name == "guided"}};
  if (name == "kl") choice.needs.factors = sketch;
  choice.of = [name](const Layer& layer) {
    const LinearStats& stats = layer.stats;
    if (name == "kl") return scaled(found(stats.input_factor, layer, name));
    return found(name == "guided" ? stats.guided : stats.hessian, layer, name);
  };
  return choice;
}

torch::Tensor output_hessian(const Layer& layer) {
  return scaled(found(layer.stats.output_factor, layer, "kl"));
}

// Flipping both ways turns the lower factor M of the flipped H into R with H = R Rᵀ, R upper.
torch::Tensor upper_factor(const torch::Tensor& hessian, double damp, const std::string& layer) {
  return damped_factor(hessian, damp, layer, [](const torch::Tensor& lower) {
    return lower.flip({0, 1}).contiguous();
  });
}

torch::Tensor inverse_factor(const torch::Tensor& hessian, double damp, const std::string& layer) {
  return damped_factor(hessian, damp, layer, [](const torch::Tensor& lower) {
    const torch::Tensor inverse = torch::zeros(lower.sizes(), lower.options());
    invert_lower(lower, inverse);
    return inverse.flip({0, 1}).contiguous();
  });
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
