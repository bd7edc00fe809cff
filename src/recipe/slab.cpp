#include "recipe/slab.h"

namespace karat {

Slabs::Slabs(const Layer& layer, const Kept& kept, const Grid& grid)
    : kept_(kept),
      cost_(grid.cost ? grid.cost(layer) : torch::Tensor()),
      hessian_(grid.gram ? layer.stats.hessian : torch::Tensor()),
      in_(layer.weight.size(1)),
      width_(grid.group_size(in_)) {}

Slab Slabs::cut(const torch::Tensor& weight, std::int64_t begin) const {
  const std::int64_t end = std::min(in_, begin + width_);
  Slab slab{.weight = weight.slice(1, begin, end)};
  if (kept_.defined()) slab.kept = kept_.slice(1, begin, end);
  if (cost_.defined()) slab.cost = cost_.slice(1, begin, end);
  if (hessian_.defined()) slab.gram = hessian_.slice(0, begin, end).slice(1, begin, end);
  return slab;
}

GridParams rows_of(const GridParams& params, std::int64_t out, std::int64_t first,
                   std::int64_t last) {
  GridParams rows;
  for (const torch::Tensor& one : params)
    rows.push_back(one.size(0) == out ? one.slice(0, first, last) : one);
  return rows;
}

}  // namespace karat
