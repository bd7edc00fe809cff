// tuner lota-qaf: moves codes by a ternary product (LoTA-QAF, arXiv 2505.18724). With D = B A, B
// and A in {−1, 0, 1}, a code moves by T = sign(D) where |D| > ω, and a group's offset by s·μ, μ =
// mean(D − ω T): what is added to codes and zeros alone can be merged without loss. t-SignSGD,
// which has no rate: the largest gradients, from 5 % of them down to 0.01 %, move their entry by
// one.
#include <cmath>
#include <numbers>

#include "core/rng.h"
#include "tuner/shared/end_to_end.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/groups.h"

namespace karat {
namespace {

struct LotaOptions {
  EndToEnd common = {};
  std::int64_t rank = 0;
  double threshold = 0, most = 0, least = 0;
};

/// Normal numbers made ternary at ¾ of their mean magnitude.
torch::Tensor ternary(std::int64_t rank, std::int64_t in, std::uint64_t seed) {
  const torch::Tensor x = torch::empty({rank, in});
  Rng rng(seed);
  for (std::int64_t i = 0; i < x.numel(); ++i)  // Box and Muller
    x.data_ptr<float>()[i] = static_cast<float>(std::sqrt(-2 * std::log(1 - rng.uniform())) *
                                                std::cos(2 * std::numbers::pi * rng.uniform()));
  return x.sign() * (x.abs() > 0.75 * x.abs().mean());
}

/// A and B: the leaves in this order.
class TernaryLayer {
 public:
  TernaryLayer(const TunedLayer& layer, const LotaOptions& options, std::uint64_t seed)
      : layer_(layer), levels_(layer.grid.even.value()) {
    threshold_ = options.threshold * static_cast<double>(options.rank);
    const torch::Tensor& codes = layer.start.codes;
    size_ = layer.grid.group_size(codes.size(1));
    a_ = ternary(options.rank, codes.size(1), seed).requires_grad_();
    b_ = torch::zeros({codes.size(0), options.rank}).requires_grad_();
  }
  std::vector<torch::Tensor> leaves() const { return {a_, b_}; }
  torch::Tensor weights() const {
    const Merged merged = merge();
    std::vector<torch::Tensor> parts;
    std::size_t g = 0;
    for (const torch::Tensor& codes : merged.codes.split(size_, 1)) {
      const auto& params = merged.params[g];
      const torch::Tensor zero = pass_where(merged.zeros[g], params.at(1), {});
      parts.push_back((codes - zero) * params.at(0));
      ++g;
    }
    const torch::Tensor dense = torch::cat(parts, 1);
    const Solution& start = layer_.start;
    return start.kept.defined() ? torch::where(start.kept, start.weight, dense) : dense;
  }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    const Merged merged = merge();
    Solution solution = start;
    solution.codes = merged.codes.to(torch::kUInt8);
    solution.params = merged.params;
    return solution;
  }

 private:
  struct Merged {
    torch::Tensor codes = {};               // [out, in] F32, whole numbers
    std::vector<torch::Tensor> zeros = {};  // [out, 1] of each group, before they are stored
    std::vector<GridParams> params = {};
  };
  Merged merge() const {
    const torch::Tensor change = torch::matmul(b_, a_), held = change.detach();
    const torch::Tensor step = held.sign() * (held.abs() > threshold_);
    const torch::Tensor codes = layer_.start.codes.to(torch::kFloat32), moved = codes + step;
    const torch::Tensor inside = (moved >= 0) & (moved <= levels_.top);
    // On the way from 0 to the threshold a code moves by one.
    Merged merged{.codes = pass_where(change / threshold_, moved.clamp(0, levels_.top), inside)};
    const torch::Tensor rest = change - threshold_ * step;
    std::size_t g = 0;
    for (const torch::Tensor& of_group : rest.split(size_, 1)) {
      const GridParams& from = layer_.start.params[g++];
      merged.zeros.push_back(from.at(1) - of_group.mean(1, /*keepdim=*/true));
      merged.params.push_back(levels_.params(from.at(0), merged.zeros.back().detach()));
    }
    return merged;
  }

  TunedLayer layer_;
  EvenLevels levels_;
  std::int64_t size_ = 0;  // of a group
  double threshold_ = 0;
  torch::Tensor a_, b_;
};

/// The entries with the largest gradients, `share` of them, move by one, within {−1, 0, 1}.
void ternary_step(torch::Tensor& leaf, const torch::Tensor& gradient, double share) {
  constexpr double kNone = 1e-9;
  const torch::Tensor size = gradient.abs().flatten();
  const auto others =
      static_cast<std::int64_t>(std::ceil((1 - share) * static_cast<double>(size.numel())));
  const double least = std::max(
      kNone,
      std::get<0>(size.kthvalue(std::clamp<std::int64_t>(others, 1, size.numel()))).item<double>());
  leaf.sub_(gradient.sign() * (gradient.abs() > least)).clamp_(-1, 1);
}

std::vector<Solution> move_codes(const std::vector<TunedLayer>& layers, const TunedLoss& loss,
                                 const LotaOptions& options) {
  std::vector<TernaryLayer> states;
  for (const TunedLayer& layer : layers)
    states.emplace_back(layer, options, loss.seed * layers.size() + states.size());
  Descent descent = descent_of(options.common, loss);
  descent.update = [&](std::int64_t step, std::vector<Learned>& all, const auto& gradients) {
    const torch::NoGradGuard no_grad;
    const double done = static_cast<double>(step) / static_cast<double>(options.common.iterations);
    const double share = options.most + done * (options.least - options.most);
    for (std::size_t i = 0; i < all.size(); ++i)
      for (std::size_t k = 0; k < all[i].leaves.size(); ++k)
        ternary_step(all[i].leaves[k], gradients[i][k], share);
  };
  return descend(descent, states, layers, loss);
}

}  // namespace

Tuner lota_qaf_tuner(Options& given) {
  LotaOptions options{.common = end_to_end("lota-qaf", given, 64, 8)};
  options.rank = given.integer("rank", 16, 1, 4096, "of the ternary product");
  options.threshold = given.number("threshold", 0.75, 0.01, 1, "ω as a share of the rank");
  options.most = given.number("most", 0.05, 0, 1, "share of entries that the first step moves");
  options.least = given.number("least", 0.0001, 0, 1, "the same of the last step");
  Tuner tuner = end_to_end_tuner(
      options.common, false,
      [=](const auto& layers, const TunedLoss& loss) { return move_codes(layers, loss, options); });
  tuner.check = [](const Grid& grid) { check_even("tuner lota-qaf", grid); };
  return tuner;
}

}  // namespace karat
