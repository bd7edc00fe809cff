// solver nearest: every weight takes the closest value of its group's grid.
#include "karat/recipe.h"

namespace karat {
namespace {

Solution solve_nearest(const Layer& layer, const Kept& kept, const Grid& grid) {
  Solution solution{.weight = layer.weight, .kept = kept};
  const std::int64_t in = layer.weight.size(1), width = grid.group_size(in);
  std::vector<torch::Tensor> codes;
  for (std::int64_t begin = 0; begin < in; begin += width) {
    const std::int64_t end = std::min(in, begin + width);
    const torch::Tensor slab = layer.weight.slice(1, begin, end);
    const Kept slab_kept = kept.defined() ? kept.slice(1, begin, end) : kept;
    solution.params.push_back(grid.fit(slab, slab_kept));
    codes.push_back(grid.encode(slab, solution.params.back()));
  }
  solution.codes = torch::cat(codes, 1);
  return solution;
}

}  // namespace

Solver nearest_solver(Options&) {
  return {.solve = solve_nearest};
}

}  // namespace karat
