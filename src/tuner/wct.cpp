// tuner wct: learns the weights that stay at FP16 and nothing else (weak column tuning of OWQ, Lee
// et al., arXiv 2306.02272, which keeps whole columns; here whichever the selector chose). AdamW
// without decay; rates are in units of the mean magnitude of a layer's kept weights.
#include "tuner/shared/end_to_end.h"
#include "tuner/shared/estimator.h"
#include "tuner/shared/units.h"

namespace karat {
namespace {

/// The kept weights of a layer, row by row, in units of their mean magnitude: its only leaf.
class KeptLayer {
 public:
  explicit KeptLayer(const TunedLayer& layer) : layer_(layer) {
    const torch::NoGradGuard no_grad;
    torch::Tensor values = torch::empty({0});
    if (layer.start.kept.defined()) {
      const torch::Tensor where = layer.start.kept.nonzero();
      place_ = where.select(1, 0) * layer.start.kept.size(1) + where.select(1, 1);
      values = layer.start.weight.flatten().index_select(0, place_);
    }
    if (values.numel() > 0) unit_ = values.abs().mean().item<double>();
    if (!(unit_ > 0)) unit_ = 1;
    kept_ = (values / unit_).requires_grad_();
  }
  std::vector<torch::Tensor> leaves() const { return {kept_}; }
  torch::Tensor weights() const {
    const torch::Tensor dense = dense_weights(layer_);
    if (!place_.defined()) return dense + 0 * kept_.sum();  // depends on its leaf as the others do
    const torch::Tensor flat = dense.flatten(), under = flat.index_select(0, place_);
    const torch::Tensor rest = kept_ * unit_ - under;  // stored as FP16
    const torch::Tensor stored = rest.detach().to(torch::kFloat16).to(torch::kFloat32);
    return flat.index_copy(0, place_, under + pass_where(rest, stored, {})).view(dense.sizes());
  }
  Solution solution(const Solution& start) const {
    const torch::NoGradGuard no_grad;
    Solution solution = start;
    if (place_.defined())
      solution.weight = start.weight.flatten()
                            .index_copy(0, place_, kept_.detach() * unit_)
                            .view(start.weight.sizes());
    return solution;
  }

 private:
  TunedLayer layer_;
  torch::Tensor place_;  // flat; undefined: nothing is kept
  torch::Tensor kept_;
  double unit_ = 1;
};

}  // namespace

Tuner wct_tuner(Options& given) {
  const EndToEnd options = end_to_end("wct", given, 64, 8);
  const double rate = given.number("lr", 0.005, 0, 1, "in units of the mean kept weight");
  Tuner tuner = end_to_end_tuner(options, false, [=](const auto& layers, const TunedLoss& loss) {
    const std::vector<KeptLayer> states(layers.begin(), layers.end());
    return descend_by_adam(options, {rate}, states, layers, loss);
  });
  tuner.kept = true;
  return tuner;
}

}  // namespace karat
