#include "pipeline/fits.h"

#include <functional>

#include "format/parts.h"
#include "karat/error.h"
#include "load/ends.h"

namespace karat {
namespace {

using BasisOf = std::function<Basis(const torch::Tensor& row)>;

/// What the recipe's transform makes of one row whose inputs are all alike.
Basis trial_basis(const Assembled& recipe, const torch::Tensor& row) {
  if (!recipe.transform.fit) return {};
  return recipe.transform.fit(plain_layer(row), {}, recipe.grid);
}

bool keeps_weights(const Assembled& recipe) {
  return recipe.selector.choose || recipe.solver.keeps || recipe.detach.ratio > 0;
}

/// Of a small matrix that is stored through the grid.
PackedLayout layout_of(const Grid& grid, const BasisOf& basis) {
  constexpr std::int64_t kInputs = 64;
  Solution solution{.weight = torch::linspace(-1, 1, kInputs).view({1, kInputs})};
  std::vector<torch::Tensor> codes;
  for (const torch::Tensor& part : solution.weight.split(grid.group_size(kInputs), 1)) {
    Slab slab{.weight = part};
    if (grid.gram) slab.gram = torch::eye(part.size(1));
    solution.params.push_back(grid.fit(slab));
    codes.push_back(grid.encode(part, solution.params.back()));
  }
  solution.codes = torch::cat(codes, 1);
  solution.basis = basis(solution.weight);
  return grid.store("trial", solution).layout;
}

/// Of `grid`, or of each of `mixed`.
Layouts layouts_of(const Grid& grid, const std::map<int, Grid>& mixed, const BasisOf& basis) {
  Layouts layouts;
  for (const auto& [bits, one] : mixed) layouts[bits] = layout_of(one, basis);
  if (!mixed.empty()) return layouts;
  const PackedLayout layout = layout_of(grid, basis);
  return {{layout.bits, layout}};
}

}  // namespace

PackedLayout layout_of(const Assembled& recipe) {
  return layout_of(recipe.grid, [&](const torch::Tensor& row) { return trial_basis(recipe, row); });
}

Layouts layer_layouts(const Assembled& recipe) {
  return layouts_of(recipe.grid, recipe.widths.grids,
                    [&](const torch::Tensor& row) { return trial_basis(recipe, row); });
}

Layouts end_layouts(const Ends& ends) {
  return layouts_of(ends.grid, ends.grids, [](const auto&) { return Basis{}; });
}

Layer plain_layer(const torch::Tensor& weight) {
  Layer layer{.name = "trial", .weight = weight};
  const std::int64_t inputs = weight.size(1);
  layer.stats.hessian = layer.stats.guided = layer.stats.input_factor = torch::eye(inputs);
  layer.stats.output_factor = torch::eye(weight.size(0));
  layer.stats.fisher = torch::ones_like(weight);
  layer.stats.input_abs = layer.stats.input_square = torch::ones({inputs});
  return layer;
}

void check_fits(const Architecture& arch, const Assembled& recipe) {
  if (recipe.ends)
    for (const auto& [bits, layout] : end_layouts(*recipe.ends))
      for (const std::string& end : ends_of(arch))
        check_layout(layer_of(end), layout, arch.vocab, arch.hidden);
  constexpr std::int64_t kMostInputs = 65536;  // columns of kept weights are stored in 16 bits
  const Layouts layouts = layer_layouts(recipe);
  for (const Block& block : arch.blocks)
    for (const Linear* linear : block.linears()) {
      for (const auto& [bits, layout] : layouts)
        check_layout(linear->name, layout, linear->out, linear->in);
      if (keeps_weights(recipe) && linear->in > kMostInputs)
        fail("layer " + linear->name, std::to_string(linear->in) + " inputs",
             "at most " + std::to_string(kMostInputs) + " where weights are kept",
             "use --selector none --detach none");
    }
}

}  // namespace karat
