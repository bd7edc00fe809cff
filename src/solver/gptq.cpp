// solver gptq: rounds column after column and lets the columns still to come make up for the error
// in the layer's output (GPTQ, arXiv 2210.17323). Groups are fitted on entering them, to weights
// already moved, or all beforehand (static). Columns go from left to right or, as in act-order, by
// falling diagonal of H, which needs static groups. Kept weights have no error and keep their
// moved value (SpQR, arXiv 2306.03078).
#include "karat/axes.h"
#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"

namespace karat {
namespace {

constexpr std::int64_t kBlock = 128;  // columns whose updates to the rest are applied at once

struct GptqOptions {
  double damp;
  bool act_order, static_groups;
};

/// One run over a layer. Matrices are transposed, [in, out], so that a column of W is contiguous,
/// and in the order of processing.
struct Columns {
  torch::Tensor weight, codes, error, factor;
  Kept kept;  // [out, in]
  const Grid& grid;
  Slabs slabs;
  std::vector<std::int64_t> group;      // of each column
  std::vector<GridParams> params = {};  // of each group; the group at hand is the last, if dynamic
  bool static_groups;

  std::int64_t in() const { return weight.size(0); }

  void round(std::int64_t j) {
    const GridParams& of_group = params[static_cast<std::size_t>(group[j])];
    const torch::Tensor column = weight[j].unsqueeze(1);  // [out, 1]
    const torch::Tensor code = grid.encode(column, of_group);
    torch::Tensor wrong = column - grid.decode(code, of_group);
    if (kept.defined()) wrong.masked_fill_(kept.slice(1, j, j + 1), 0);
    if (!codes.defined()) codes = torch::empty(weight.sizes(), code.options());
    codes[j].copy_(code.squeeze(1));
    error[j].copy_(wrong.squeeze(1) / factor[j][j]);
  }

  /// Rounds columns [begin, end), each passing its error on to the later ones.
  void round_block(std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      if (!static_groups && j % slabs.width() == 0)
        params.push_back(grid.fit(slabs.cut(weight.t(), j)));
      round(j);
      if (j + 1 < end)
        weight.slice(0, j + 1, end).addr_(factor[j].slice(0, j + 1, end), error[j], 1, -1);
    }
    if (end < in())
      weight.slice(0, end, in())
          .addmm_(factor.slice(0, begin, end).slice(1, end, in()).t(), error.slice(0, begin, end),
                  1, -1);
  }

  /// A block ends where its group ends, so that a group never begins with updates outstanding.
  void run() {
    const std::int64_t width = slabs.width();
    const std::int64_t span = width < kBlock ? kBlock / width * width : width;
    for (std::int64_t begin = 0; begin < in();) {
      const std::int64_t span_end = std::min(in(), begin / span * span + span);
      const std::int64_t end = std::min(span_end, begin + kBlock);
      round_block(begin, end);
      begin = end;
    }
  }
};

/// Columns in the order of processing.
torch::Tensor order_of(const torch::Tensor& hessian, bool act_order) {
  if (!act_order) return torch::arange(hessian.size(0));
  return hessian.diagonal().to(torch::kCPU).argsort(/*stable=*/true, 0, /*descending=*/true);
}

Solution solve_gptq(const Layer& layer, const Kept& kept, const Grid& grid,
                    const GptqOptions& options) {
  // Inputs that were always 0 have an empty row in H, so they neither give nor take corrections.
  const torch::Tensor& hessian = layer.stats.hessian;
  const torch::Tensor order = order_of(hessian, options.act_order), back = order.argsort();
  const torch::Tensor weight = layer.weight.t().index_select(0, order);
  const torch::Tensor ordered = hessian.index_select(0, order).index_select(1, order);
  Columns columns{.weight = weight,
                  .codes = {},
                  .error = torch::zeros_like(weight),
                  .factor = inverse_factor(ordered, options.damp, layer.name),
                  .kept = kept.defined() ? kept.index_select(1, order) : kept,
                  .grid = grid,
                  .slabs = Slabs(layer, kept, grid),
                  .group = {},
                  .static_groups = options.static_groups};
  const std::int64_t width = columns.slabs.width();
  for (std::int64_t j = 0; j < columns.in(); ++j)
    columns.group.push_back(order[j].item<std::int64_t>() / width);
  if (options.static_groups)
    for (std::int64_t begin = 0; begin < columns.in(); begin += width)
      columns.params.push_back(grid.fit(columns.slabs.cut(layer.weight, begin)));
  columns.run();
  return {.codes = columns.codes.index_select(0, back).t().contiguous(),
          .params = std::move(columns.params),
          .weight = weight.index_select(0, back).t().contiguous(),
          .kept = kept};
}

}  // namespace

Solver gptq_solver(Options& given) {
  GptqOptions options;
  options.damp = given.number("damp", 0.01, 1e-6, 1, "share of mean(diag H) added to it");
  options.act_order = given.flag("order", false, "columns by falling diag(H); needs static=1");
  options.static_groups = given.flag("static", options.act_order, "fit all groups beforehand");
  if (options.act_order && !options.static_groups)
    fail("solver gptq", "order=1,static=0", "static=1", "reordered columns have left their group");
  Solver solver{.needs = {.hessian = true}};
  solver.solve = [options](const Layer& layer, const Kept& kept, const Grid& grid) {
    return solve_gptq(layer, kept, grid, options);
  };
  return solver;
}

}  // namespace karat
