// tuner e2e-qp: learns the scales of all groups at once, over the whole model, codes and zeros
// staying as they are (E2E-QP of EfficientQAT, Chen et al., arXiv 2407.11062). Any grid will do
// whose values are proportional to a scale: also the rows of a trellis, in whatever basis. AdamW
// without decay; rates are in units of a layer's mean scale.
#include "karat/error.h"
#include "tuner/shared/end_to_end.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/units.h"

namespace karat {
namespace {

/// A layer's scales in units of their mean, its only leaf.
class ScaleLayer {
 public:
  explicit ScaleLayer(const TunedLayer& layer) : layer_(layer), start_(scales_of(layer)) {
    unit_ = start_.mean().item<double>();
    if (!(unit_ > 0)) unit_ = 1;
    scale_ = (start_ / unit_).requires_grad_();
  }
  std::vector<torch::Tensor> leaves() const { return {scale_}; }
  torch::Tensor weights() const {
    const torch::Tensor scale = moved();
    const torch::Tensor stored = pass_where(scale, scales_of(rescaled_params(scale)), {});
    return with_kept(layer_, on_units(layer_, stored));
  }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    Solution solution = start;
    solution.params = rescaled_params(moved());
    return solution;
  }

 private:
  /// [out, groups, 1]; one that was 0 stays 0.
  torch::Tensor moved() const {
    constexpr double kLeast = 0x1p-24;  // an FP16 that is not 0
    return (scale_ * unit_).clamp_min(kLeast) * (start_ > 0);
  }
  std::vector<GridParams> rescaled_params(const torch::Tensor& scale) const {
    const torch::NoGradGuard no_grad;
    return params_on(layer_, scale);
  }
  TunedLayer layer_;
  torch::Tensor start_, scale_;
  double unit_ = 1;
};

}  // namespace

Tuner e2e_qp_tuner(Options& given) {
  const EndToEnd options = end_to_end("e2e-qp", given, 64, 8);
  const double rate = given.number("lr", 0.002, 0, 1, "in units of a layer's mean scale");
  Tuner tuner = end_to_end_tuner(options, false, [=](const auto& layers, const TunedLoss& loss) {
    const std::vector<ScaleLayer> states(layers.begin(), layers.end());
    return descend_by_adam(options, {rate}, states, layers, loss);
  });
  tuner.rotated = true;
  tuner.check = [](const Grid& grid) {
    if (!grid.rescale)
      fail("tuner e2e-qp", "a grid without scales that it could learn",
           "uniform, a list of values or a trellis, without bilevel=1");
  };
  return tuner;
}

}  // namespace karat
