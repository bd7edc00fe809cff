#include "recipe/basis.h"

namespace karat {

Layer in_basis(const Layer& layer, const Basis& basis) {
  const torch::Tensor& m = basis.multiplier;
  if (!m.defined()) return layer;
  Layer moved{.name = layer.name, .weight = layer.weight / m};
  const LinearStats& from = layer.stats;
  LinearStats& to = moved.stats;
  if (from.gradient.defined()) to.gradient = from.gradient * m;
  if (from.fisher.defined()) to.fisher = from.fisher * m.square();
  if (from.hessian.defined()) to.hessian = from.hessian * m * m.unsqueeze(1);
  if (from.input_abs.defined()) to.input_abs = from.input_abs * m;
  if (from.input_square.defined()) to.input_square = from.input_square * m.square();
  return moved;
}

}  // namespace karat
