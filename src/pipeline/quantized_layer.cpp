#include "pipeline/quantized_layer.h"

#include "core/finite.h"
#include "format/parts.h"
#include "karat/error.h"
#include "recipe/hessian.h"

namespace karat {
namespace {

double squares(const torch::Tensor& x) {
  return x.square().sum(1, /*keepdim=*/false, torch::kFloat64).sum().item<double>();
}
/// Of the output's energy, or of the weights' where H is undefined.
double relative(const torch::Tensor& error, const torch::Tensor& weight,
                const torch::Tensor& hessian = {}) {
  const auto of = [&](const torch::Tensor& x) {
    return hessian.defined() ? energy(x, hessian) : squares(x);
  };
  const double whole = of(weight);
  return whole > 0 ? of(error) / whole : 0;
}

double bits_of(const std::vector<OwnedTensor>& tensors) {
  double bits = 0;
  for (const OwnedTensor& tensor : tensors) bits += 8.0 * static_cast<double>(tensor.data.size());
  return bits;
}
std::int64_t outliers(const std::vector<OwnedTensor>& tensors) {
  for (const OwnedTensor& tensor : tensors)
    if (tensor.name.ends_with(".outlier_values")) return tensor.view().numel();
  return 0;
}

}  // namespace

void note_width(const LayerWidth& width, LayerReport& report) {
  report.sensitivity = width.sensitivity;
  report.expected_loss = width.loss;
}

QuantizedLayer quantized_layer(const Layer& layer, Stored stored) {
  if (!all_finite(stored.decoded))
    fail("quantize " + layer.name, "values beyond the range of FP16", "smaller weights");
  const torch::Tensor error = layer.weight - stored.decoded;
  const auto count = static_cast<double>(layer.weight.numel());
  LayerReport report{.name = layer.name, .out = layer.weight.size(0), .in = layer.weight.size(1)};
  report.bits = bits_of(stored.tensors) / count;
  report.kept_share = static_cast<double>(outliers(stored.tensors)) / count;
  report.weight_error = relative(error, layer.weight);
  if (layer.stats.hessian.defined())
    report.output_error = relative(error, layer.weight, layer.stats.hessian);
  report.few_tokens = layer.stats.few_tokens;
  report.stored = describe(stored.layout);
  return {report, stored.layout, std::move(stored.tensors)};
}

}  // namespace karat
