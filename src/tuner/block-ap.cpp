// tuner block-ap: learns the weights of a block together with the scale and zero of every group,
// rounding being taken straight through (Block-AP of EfficientQAT, Chen et al., arXiv 2407.11062):
// AdamW without decay, rates that fall along a cosine to a twentieth. Rates are in units of the
// grid's step, a layer's mean scale, so that they fit models of any size of weights; zeros are
// real.
#include "tuner/shared/groups.h"
#include "tuner/shared/leaf_adam.h"

namespace karat {
namespace {

struct BlockApOptions {
  std::int64_t iterations = 0, batch = 0;
  double rate = 0, line_rate = 0;
};

constexpr double kLeastScale = 0x1p-24;  // an FP16 that is not 0

/// A layer's weights and scales, both in units of the step, and zeros: its leaves in this order.
class BlockApLayer {
 public:
  explicit BlockApLayer(const TunedLayer& layer)
      : layer_(grouped_layer(layer)), unit_(layer_.lines.scale.mean().item<double>()) {
    weight_ = (layer_.weight / unit_).requires_grad_();
    scale_ = (layer_.lines.scale / unit_).requires_grad_();
    zero_ = layer_.lines.zero.clone().requires_grad_();
  }
  std::vector<torch::Tensor> leaves() const { return {weight_, scale_, zero_}; }
  torch::Tensor weights() const { return decoded_weights(layer_, weight_ * unit_, lines()); }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    return with_lines(layer_, start, weight_ * unit_, lines());
  }

 private:
  GroupLines lines() const {
    return stored_lines(layer_.levels, {(scale_ * unit_).clamp_min(kLeastScale), zero_});
  }
  GroupedLayer layer_;
  double unit_;
  torch::Tensor weight_, scale_, zero_;
};

std::vector<Solution> train_block(const std::vector<TunedLayer>& layers, const TunedLoss& loss,
                                  const BlockApOptions& options) {
  std::vector<BlockApLayer> states;
  for (const TunedLayer& layer : layers) states.emplace_back(layer);
  LeafAdam adam(leaves_of(states), {options.rate, options.line_rate, options.line_rate},
                options.iterations);
  return descend({.owner = "tuner block-ap",
                  .steps = options.iterations,
                  .batch = options.batch,
                  .update = [&](std::int64_t step, auto& all,
                                const auto& gradients) { adam.update(step, all, gradients); }},
                 states, layers, loss);
}

}  // namespace

Tuner block_ap_tuner(Options& given) {
  BlockApOptions options;
  options.iterations = given.integer("iterations", 256, 1, 1000000, "steps of each block");
  options.batch = given.integer("batch", 8, 1, 1 << 20, "sequences of a step");
  options.rate = given.number("lr", 0.005, 0, 1, "of the weights, in steps of the grid");
  options.line_rate = given.number("line-lr", 0.005, 0, 1, "of scales and zeros, likewise");
  return {.needs = {.blocks = true},
          .check = [](const Grid& grid) { check_even("tuner block-ap", grid); },
          .in_turn = {
              {.name = "block-ap",
               .steps = [=](std::int64_t) { return options.iterations; },
               .tune = [=](const auto& layers,
                           const TunedLoss& loss) { return train_block(layers, loss, options); }}}};
}

}  // namespace karat
