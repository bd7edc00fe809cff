#include "calibrate/factor_stats.h"

#include <cmath>
#include <limits>

#include "core/rng.h"
#include "karat/error.h"
#include "model/parallel.h"

namespace karat {
namespace {

/// x [tokens, n], each token times the length of its row of `by`.
torch::Tensor weighted(const torch::Tensor& x, const torch::Tensor& by) {
  auto out = torch::empty_like(x);
  const auto piece = cached_rows(x.size(1) + by.size(1));
  parallel_rows(x.size(0), piece, x.device(), [&](auto first, auto rows) {
    const auto length = by.narrow(0, first, rows).square().sum(1, /*keepdim=*/true).sqrt();
    out.narrow(0, first, rows).copy_(x.narrow(0, first, rows) * length);
  });
  return out;
}

/// GᵀG and GGᵀ of G = gᵀx are xᵀ(ggᵀ)x and gᵀ(xxᵀ)g: cheaper for few tokens.
bool few_tokens(std::int64_t tokens, std::int64_t in, std::int64_t out) {
  const auto t = static_cast<double>(tokens), i = static_cast<double>(in),
             o = static_cast<double>(out);
  return 2 * t * t * (i + o) + t * (i * i + o * o) / 2 < t * i * o + i * o * (i + o) / 2;
}

}  // namespace

LinearObserver FactorStats::observer() {
  if (sketch_ == Sketch::none) return {};
  return [this](const Linear& layer, const torch::Tensor& input, const torch::Tensor& output) {
    output.register_hook([this, &sum = sums_[layer.name], x = input.detach()](
                             const torch::Tensor& gradient) { add(sum, x, gradient); });
  };
}

void FactorStats::add(Sum& sum, const torch::Tensor& input, const torch::Tensor& gradient) const {
  const torch::NoGradGuard no_grad;
  const auto x = input.to(torch::kFloat32).contiguous();
  const auto g = gradient.to(torch::kFloat32).contiguous();
  if (!sum.input.defined()) {
    sum.input = torch::zeros({x.size(1), x.size(1)}, x.options());
    sum.output = torch::zeros({g.size(1), g.size(1)}, g.options());
  }
  sum.time = x.size(0);
  ++sum.sequences;
  if (sketch_ == Sketch::tokens) {
    add_gram(sum.input, weighted(x, g));
    add_gram(sum.output, weighted(g, x));
  } else if (few_tokens(x.size(0), x.size(1), g.size(1))) {
    add_gram(sum.input, x, product(product(g, g.t()), x));
    add_gram(sum.output, g, product(product(x, x.t()), g));
  } else {
    const auto whole = product(g.t(), x);
    add_gram(sum.input, whole);
    add_gram(sum.output, whole.t().contiguous());
  }
}

void FactorStats::finish(std::map<std::string, LinearStats>& stats) const {
  for (const auto& [name, sum] : sums_) {
    const double total = sum.output.diagonal().sum(torch::kFloat64).item<double>();
    if (!std::isfinite(total))
      fail("factors of " + name, "NaN or infinite gradients", "finite ones",
           "the model overflows on this calibration text");
    if (total < std::numeric_limits<float>::min())
      fail("factors of " + name, "no gradient at any token", "a loss that its outputs change",
           "use longer sequences, or look for weights of zero behind it");
    mirror(sum.input);
    mirror(sum.output);
    // A gradient is that of a mean over time − 1 tokens; the sum's is so many times as large, its
    // square so many times that of a token.
    const double tokens = static_cast<double>(sum.time - 1) / static_cast<double>(sum.sequences);
    stats[name].input_factor = sum.input * tokens;
    stats[name].output_factor = sum.output / total;
  }
}

torch::Tensor label_draws(const torch::Tensor& ids) {
  const torch::Tensor sequence = ids.flatten().to(torch::kCPU, torch::kInt64).contiguous();
  std::uint64_t seed = 0;
  for (std::int64_t i = 0; i < sequence.numel(); ++i)
    seed = Rng(seed ^ static_cast<std::uint64_t>(sequence.data_ptr<std::int64_t>()[i])).next();
  Rng rng(seed);
  const torch::Tensor draws = torch::empty({sequence.numel() - 1}, torch::kFloat64);
  for (std::int64_t i = 0; i < draws.numel(); ++i) draws.data_ptr<double>()[i] = rng.uniform();
  return draws;
}

}  // namespace karat
