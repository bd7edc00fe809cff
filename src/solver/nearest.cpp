// solver nearest: every weight takes the closest value of its group's grid.
#include "karat/axes.h"
#include "recipe/slab.h"

namespace karat {
namespace {

Solution solve_nearest(const Layer& layer, const Kept& kept, const Grid& grid) {
  Solution solution{.weight = layer.weight, .kept = kept};
  const Slabs slabs(layer, kept, grid);
  std::vector<torch::Tensor> codes;
  for (std::int64_t begin = 0; begin < layer.weight.size(1); begin += slabs.width()) {
    const Slab slab = slabs.cut(layer.weight, begin);
    solution.params.push_back(grid.fit(slab));
    codes.push_back(grid.encode(slab.weight, solution.params.back()));
  }
  solution.codes = torch::cat(codes, 1);
  return solution;
}

}  // namespace

Solver nearest_solver(Options&) {
  return {.solve = solve_nearest};
}

}  // namespace karat
