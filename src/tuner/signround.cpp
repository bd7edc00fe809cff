// tuner signround: learns where each weight is rounded to, and how far each group's range reaches,
// by the signs of gradients alone (SignRound, Cheng et al., arXiv 2309.05516): V in [-½, ½] is
// added before rounding, and α and β in [0, 1] multiply the range's ends. The rate falls linearly
// to 0.
#include "tuner/shared/descent.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/groups.h"

namespace karat {
namespace {

struct SignRoundOptions {
  std::int64_t iterations = 0, batch = 0;
  double rate = 0;
  bool clip = true, integers = false;
};

/// The ends of each group's range [out, groups, 1], stretched to reach 0.
struct Range {
  torch::Tensor low, high;
};
Range range_of(const GroupedLayer& layer) {
  const auto& [scale, zero] = layer.lines;
  return {(-scale * zero).clamp_max(0), (scale * (layer.levels.top - zero)).clamp_min(0)};
}

GroupLines lines_of(const GroupedLayer& layer, const Range& range, const torch::Tensor& alpha,
                    const torch::Tensor& beta, bool integers) {
  constexpr double kLeast = 0x1p-24;  // of an FP16 that is not 0
  const torch::Tensor low = range.low * beta;
  const torch::Tensor scale = ((range.high * alpha - low) / layer.levels.top).clamp_min(kLeast);
  const torch::Tensor stored = stored_lines(layer.levels, {scale, torch::zeros_like(scale)}).scale;
  const torch::Tensor zero = -low / stored;
  return {stored, integers ? round_ste(zero) : stored_lines(layer.levels, {stored, zero}).zero};
}

/// A layer's V, α and β, which are its leaves in this order.
class SignRoundLayer {
 public:
  SignRoundLayer(const TunedLayer& layer, const SignRoundOptions& options)
      : layer_(grouped_layer(layer)), range_(range_of(layer_)), integers_(options.integers) {
    offset_ = torch::zeros_like(layer_.weight).requires_grad_();
    alpha_ = torch::ones_like(range_.low).requires_grad_(options.clip);
    beta_ = torch::ones_like(range_.low).requires_grad_(options.clip);
  }
  std::vector<torch::Tensor> leaves() const {
    if (!alpha_.requires_grad()) return {offset_};
    return {offset_, alpha_, beta_};
  }
  torch::Tensor weights() const {
    const GroupLines lines = lines_of(layer_, range_, alpha_, beta_, integers_);
    return decoded_weights(layer_, moved(lines), lines);
  }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    const GroupLines lines = lines_of(layer_, range_, alpha_, beta_, integers_);
    return with_lines(layer_, start, moved(lines), lines);
  }

 private:
  torch::Tensor moved(const GroupLines& lines) const {
    return layer_.weight + offset_ * lines.scale;
  }
  GroupedLayer layer_;
  Range range_;
  torch::Tensor offset_, alpha_, beta_;
  bool integers_;
};

void sign_step(std::vector<Learned>& layers,
               const std::vector<std::vector<torch::Tensor>>& gradients, double rate) {
  const torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < layers.size(); ++i)
    for (std::size_t k = 0; k < layers[i].leaves.size(); ++k) {
      torch::Tensor& leaf = layers[i].leaves[k];
      leaf.sub_(gradients[i][k].sign(), rate);
      if (k == 0)
        leaf.clamp_(-0.5, 0.5);
      else
        leaf.clamp_(0, 1);
    }
}

std::vector<Solution> sign_round(const std::vector<TunedLayer>& layers, const TunedLoss& loss,
                                 const SignRoundOptions& options) {
  std::vector<SignRoundLayer> states;
  for (const TunedLayer& layer : layers) states.emplace_back(layer, options);
  const auto steps = static_cast<double>(options.iterations);
  const double rate = options.rate > 0 ? options.rate : 1 / steps;
  return descend({.owner = "tuner signround",
                  .steps = options.iterations,
                  .batch = options.batch,
                  .update =
                      [&](std::int64_t step, auto& all, const auto& gradients) {
                        sign_step(all, gradients, rate * (1 - static_cast<double>(step) / steps));
                      }},
                 states, layers, loss);
}

}  // namespace

Tuner signround_tuner(Options& given) {
  SignRoundOptions options;
  options.iterations = given.integer("iterations", 200, 1, 1000000, "steps of each block");
  options.batch = given.integer("batch", 8, 1, 1 << 20, "sequences of a step");
  options.rate = given.number("lr", 0, 0, 1, "first step of V and of the range; 0: 1/iterations");
  options.clip = given.flag("clip", true, "learn the ends of the range too");
  options.integers = given.flag("integers", false, "zeros are whole numbers");
  return {.needs = {.blocks = true},
          .check = [](const Grid& grid) { check_even("tuner signround", grid); },
          .in_turn = {
              {.name = "signround",
               .steps = [=](std::int64_t) { return options.iterations; },
               .tune = [=](const auto& layers,
                           const TunedLoss& loss) { return sign_round(layers, loss, options); }}}};
}

}  // namespace karat
