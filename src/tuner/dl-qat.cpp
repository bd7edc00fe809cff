// tuner dl-qat: Ŵ = m ∘ Q(W + B A): a group's magnitude m and a low-rank change of the weights are
// learned, rounding being taken straight through; at the end only codes, zeros and scales s·m are
// left (DL-QAT, arXiv 2504.09223). AdamW without decay. A and B are in units of a layer's mean
// scale, so that a rate is in steps of the grid.
#include <cmath>

#include "core/rng.h"
#include "tuner/shared/end_to_end.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/groups.h"
#include "tuner/shared/units.h"

namespace karat {
namespace {

/// A [rank, in], even over ±√(3 / rank): a step of rate r in each of B moves weights by about r.
torch::Tensor drawn(std::int64_t rank, std::int64_t in, std::uint64_t seed) {
  const torch::Tensor factor = torch::empty({rank, in});
  Rng rng(seed);
  const double reach = std::sqrt(3 / static_cast<double>(rank));
  for (std::int64_t i = 0; i < factor.numel(); ++i)
    factor.data_ptr<float>()[i] = static_cast<float>(reach * (2 * rng.uniform() - 1));
  return factor;
}

/// A, B and m: the leaves in this order.
class LowRankLayer {
 public:
  LowRankLayer(const TunedLayer& layer, std::int64_t rank, std::uint64_t seed)
      : layer_(layer), grouped_(grouped_layer(layer)) {
    unit_ = grouped_.lines.scale.mean().item<double>();
    const torch::Tensor& weight = layer.start.weight;
    begin_at_codes();
    a_ = drawn(rank, weight.size(1), seed).requires_grad_();
    b_ = torch::zeros({weight.size(0), rank}).requires_grad_();
    m_ = torch::ones_like(grouped_.lines.scale).requires_grad_();
  }
  std::vector<torch::Tensor> leaves() const { return {a_, b_, m_}; }
  torch::Tensor weights() const {
    const auto& [scale, zero] = grouped_.lines;
    const torch::Tensor wide = magnified();
    const torch::Tensor stored = pass_where(wide, scales_of(params(wide)), {});
    const torch::Tensor rounded =
        fake_uniform(moved(), scale, zero, 0, grouped_.levels.top) * (stored / scale);
    return with_kept(layer_, grouped_.flat(rounded));
  }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    Solution solution = with_lines(grouped_, start, moved(), grouped_.lines);
    solution.params = params(magnified());
    return solution;
  }

 private:
  /// Where what was learned before moved a code, the weight begins at what it decodes to.
  void begin_at_codes() {
    const torch::NoGradGuard no_grad;
    const Solution& start = layer_.start;
    const torch::Tensor same =
        with_lines(grouped_, start, grouped_.weight, grouped_.lines).codes == start.codes;
    if (same.all().item<bool>()) return;
    TunedLayer moved = layer_;
    moved.start.weight = torch::where(same, start.weight, dense_weights(layer_));
    grouped_.weight = grouped_layer(moved).weight;
  }
  /// W + B A, [out, groups, n].
  torch::Tensor moved() const {
    const torch::Tensor change = unit_ * torch::matmul(b_, a_);
    const auto& sizes = grouped_.weight.sizes();
    const std::int64_t filling = sizes[1] * sizes[2] - grouped_.in;
    return grouped_.weight + torch::constant_pad_nd(change, {0, filling}).view(sizes);
  }
  torch::Tensor magnified() const {
    constexpr double kLeast = 0x1p-24;  // an FP16 that is not 0
    return (grouped_.lines.scale * m_).clamp_min(kLeast);
  }
  std::vector<GridParams> params(const torch::Tensor& scale) const {
    const torch::NoGradGuard no_grad;
    return params_on(layer_, scale);
  }
  TunedLayer layer_;
  GroupedLayer grouped_;
  double unit_ = 1;
  torch::Tensor a_, b_, m_;
};

}  // namespace

Tuner dl_qat_tuner(Options& given) {
  const EndToEnd options = end_to_end("dl-qat", given, 64, 8);
  const std::int64_t rank = given.integer("rank", 16, 1, 4096, "of the change of the weights");
  const double rate = given.number("lr", 0.01, 0, 1, "of the change, in steps of the grid");
  const double magnitude = given.number("magnitude-lr", 0.002, 0, 1, "of the magnitudes m");
  Tuner tuner = end_to_end_tuner(options, true, [=](const auto& layers, const TunedLoss& loss) {
    std::vector<LowRankLayer> states;
    for (const TunedLayer& layer : layers)
      states.emplace_back(layer, rank, loss.seed * layers.size() + states.size());
    return descend_by_adam(options, {rate, rate, magnitude}, states, layers, loss);
  });
  tuner.check = [](const Grid& grid) { check_even("tuner dl-qat", grid); };
  return tuner;
}

}  // namespace karat
