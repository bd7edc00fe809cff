#include "tuner/shared/groups.h"

#include "karat/error.h"
#include "tuner/shared/estimator.h"

namespace karat {

torch::Tensor GroupedLayer::flat(const torch::Tensor& x) const {
  return x.flatten(1).narrow(1, 0, in);
}

GroupedLayer grouped_layer(const TunedLayer& layer) {
  const Solution& start = layer.start;
  GroupedLayer result;
  result.levels = layer.grid.even.value();
  result.in = start.weight.size(1);
  std::vector<torch::Tensor> scales, zeros;
  for (const GridParams& params : start.params) {
    scales.push_back(params.at(0));
    zeros.push_back(params.at(1));
  }
  constexpr double kLeast = 0x1p-24;  // an FP16 that is not 0; where it was, all weights are
  result.lines = {torch::stack(scales, 1).clamp_min(kLeast), torch::stack(zeros, 1)};
  const std::int64_t size = layer.grid.group_size(result.in);
  const std::int64_t filling = static_cast<std::int64_t>(scales.size()) * size - result.in;
  const auto grouped = [&](const torch::Tensor& x) {
    if (filling == 0) return x.contiguous().view({x.size(0), -1, size});
    return torch::constant_pad_nd(x, {0, filling}).view({x.size(0), -1, size}).contiguous();
  };
  result.weight = grouped(start.weight);
  if (start.kept.defined()) result.kept = grouped(start.kept);
  return result;
}

void check_even(const std::string& tuner, const Grid& grid) {
  if (!grid.even)
    fail(tuner, "a grid whose scale and zero it cannot learn",
         "grid uniform, without symmetric=1 or bilevel=1",
         "gradients pass through values that are evenly spaced alone");
}

GroupLines stored_lines(const EvenLevels& levels, const GroupLines& lines) {
  const GridParams params = levels.params(lines.scale.detach(), lines.zero.detach());
  return {pass_where(lines.scale, params.at(0), {}), pass_where(lines.zero, params.at(1), {})};
}

torch::Tensor decoded_weights(const GroupedLayer& layer, const torch::Tensor& v,
                              const GroupLines& lines) {
  const torch::Tensor rounded = fake_uniform(v, lines.scale, lines.zero, 0, layer.levels.top);
  return layer.flat(layer.kept.defined() ? torch::where(layer.kept, layer.weight, rounded)
                                         : rounded);
}

Solution with_lines(const GroupedLayer& layer, const Solution& start, const torch::Tensor& v,
                    const GroupLines& lines) {
  Solution solution = start;
  const torch::Tensor place = v / lines.scale + lines.zero;
  solution.codes =
      layer.flat(place.round().clamp(0, layer.levels.top)).to(torch::kUInt8).contiguous();
  for (std::size_t g = 0; g < solution.params.size(); ++g) {
    const auto group = static_cast<std::int64_t>(g);
    solution.params[g] =
        layer.levels.params(lines.scale.select(1, group), lines.zero.select(1, group));
  }
  return solution;
}

}  // namespace karat
