#include "recipe/basis.h"

#include "core/rotation.h"

namespace karat {
namespace {

Layer scaled(const Layer& layer, const torch::Tensor& m) {
  Layer moved{.name = layer.name, .weight = layer.weight / m};
  const LinearStats& from = layer.stats;
  LinearStats& to = moved.stats;
  if (from.gradient.defined()) to.gradient = from.gradient * m;
  if (from.fisher.defined()) to.fisher = from.fisher * m.square();
  if (from.hessian.defined()) to.hessian = from.hessian * m * m.unsqueeze(1);
  if (from.input_abs.defined()) to.input_abs = from.input_abs * m;
  if (from.input_square.defined()) to.input_square = from.input_square * m.square();
  to.token_weights = from.token_weights;
  if (from.guided.defined()) to.guided = from.guided * m * m.unsqueeze(1);
  if (from.input_factor.defined()) to.input_factor = from.input_factor * m * m.unsqueeze(1);
  to.output_factor = from.output_factor;
  return moved;
}

/// L x Rᵀ; undefined stays undefined.
torch::Tensor both_sides(const torch::Tensor& x, const Rotation& left, const Rotation& right) {
  if (!x.defined()) return x;
  const torch::Tensor copy =
      x.to(torch::kCPU).clone(torch::MemoryFormat::Contiguous);  // rotations are plain C++
  rotate(left, right, copy.data_ptr<float>());
  return copy.to(x.device());
}

Layer rotated(const Layer& layer, std::uint32_t seed) {
  const Rotation out(layer.weight.size(0), seed, Rotation::Side::outputs);
  const Rotation in(layer.weight.size(1), seed, Rotation::Side::inputs);
  Layer moved{.name = layer.name, .weight = both_sides(layer.weight, out, in)};
  moved.stats.gradient = both_sides(layer.stats.gradient, out, in);
  moved.stats.hessian = both_sides(layer.stats.hessian, in, in);
  if (moved.stats.hessian.defined())  // 2 mean xxᵀ
    moved.stats.input_square = moved.stats.hessian.diagonal() / 2;
  moved.stats.token_weights = layer.stats.token_weights;
  moved.stats.guided = both_sides(layer.stats.guided, in, in);
  moved.stats.input_factor = both_sides(layer.stats.input_factor, in, in);
  moved.stats.output_factor = both_sides(layer.stats.output_factor, out, out);
  return moved;
}

}  // namespace

Layer in_basis(const Layer& layer, const Basis& basis) {
  const Layer moved = basis.multiplier.defined() ? scaled(layer, basis.multiplier) : layer;
  return basis.rotation ? rotated(moved, *basis.rotation) : moved;
}

torch::Tensor gradient_in_basis(const torch::Tensor& gradient, const Basis& basis) {
  const torch::Tensor moved = basis.multiplier.defined() ? gradient * basis.multiplier : gradient;
  if (!basis.rotation) return moved;
  return both_sides(moved, Rotation(moved.size(0), *basis.rotation, Rotation::Side::outputs),
                    Rotation(moved.size(1), *basis.rotation, Rotation::Side::inputs));
}

torch::Tensor turned_back(const torch::Tensor& x, std::uint32_t seed) {
  const torch::Tensor copy = x.to(torch::kCPU).clone(torch::MemoryFormat::Contiguous);
  rotate_back(Rotation(x.size(0), seed, Rotation::Side::outputs),
              Rotation(x.size(1), seed, Rotation::Side::inputs), copy.data_ptr<float>());
  return copy.to(x.device());
}

}  // namespace karat
