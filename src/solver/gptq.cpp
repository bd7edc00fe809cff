// solver gptq: rounds column after column and lets the columns still to come make up for the error
// in the layer's output (GPTQ, arXiv 2210.17323). Groups are fitted on entering them, to weights
// already moved. Kept weights have no error and keep their moved value (SpQR, arXiv 2306.03078).
#include "karat/recipe.h"
#include "recipe/hessian.h"

namespace karat {
namespace {

constexpr std::int64_t kBlock = 128;  // columns whose updates to the rest are applied at once

/// One run over a layer. Matrices are transposed, [in, out], so that a column of W is contiguous.
struct Columns {
  torch::Tensor weight, codes, error, factor;
  Kept kept;  // [out, in]
  const Grid& grid;
  std::int64_t in, width;
  std::vector<GridParams> params = {};

  void fit(std::int64_t begin) {
    const std::int64_t end = std::min(in, begin + width);
    params.push_back(grid.fit(weight.slice(0, begin, end).t(),
                              kept.defined() ? kept.slice(1, begin, end) : kept));
  }

  void round(std::int64_t j) {
    const torch::Tensor column = weight[j].unsqueeze(1);  // [out, 1]
    const torch::Tensor code = grid.encode(column, params.back());
    torch::Tensor wrong = column - grid.decode(code, params.back());
    if (kept.defined()) wrong.masked_fill_(kept.slice(1, j, j + 1), 0);
    if (!codes.defined()) codes = torch::empty(weight.sizes(), code.options());
    codes[j].copy_(code.squeeze(1));
    error[j].copy_(wrong.squeeze(1) / factor[j][j]);
  }

  /// Rounds columns [begin, end), each passing its error on to the later ones.
  void round_block(std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      if (j % width == 0) fit(j);
      round(j);
      if (j + 1 < end)
        weight.slice(0, j + 1, end).addr_(factor[j].slice(0, j + 1, end), error[j], 1, -1);
    }
    if (end < in)
      weight.slice(0, end, in)
          .addmm_(factor.slice(0, begin, end).slice(1, end, in).t(), error.slice(0, begin, end), 1,
                  -1);
  }
};

Solution solve_gptq(const Layer& layer, const Kept& kept, const Grid& grid, double damp) {
  const std::int64_t in = layer.weight.size(1), width = grid.group_size(in);
  // Inputs that were always 0 have an empty row in H, so they neither give nor take corrections.
  const torch::Tensor weight = layer.weight.t().clone(torch::MemoryFormat::Contiguous);
  Columns columns{.weight = weight,
                  .codes = {},
                  .error = torch::zeros_like(weight),
                  .factor = inverse_factor(layer.stats.hessian, damp, layer.name),
                  .kept = kept,
                  .grid = grid,
                  .in = in,
                  .width = width};
  // A block ends where its group ends, so that a group never begins with updates outstanding.
  const std::int64_t span = width < kBlock ? kBlock / width * width : width;
  for (std::int64_t begin = 0; begin < in;) {
    const std::int64_t span_end = std::min(in, begin / span * span + span);
    const std::int64_t end = std::min(span_end, begin + kBlock);
    columns.round_block(begin, end);
    begin = end;
  }
  return {.codes = columns.codes.t().contiguous(),
          .params = std::move(columns.params),
          .weight = weight.t().contiguous(),
          .kept = kept};
}

}  // namespace

Solver gptq_solver(Options& options) {
  const double damp = options.number("damp", 0.01, 1e-6, 1, "share of mean(diag H) added to it");
  Solver solver{.needs = {.hessian = true}};
  solver.solve = [damp](const Layer& layer, const Kept& kept, const Grid& grid) {
    return solve_gptq(layer, kept, grid, damp);
  };
  return solver;
}

}  // namespace karat
