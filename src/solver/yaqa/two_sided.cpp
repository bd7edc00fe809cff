// With H_O = A D_O Aᵀ and H_I = B D_I Bᵀ, A and B unit upper triangular, D diagonal (of blocks),
// E = AᵀΔB makes tr(H_O Δ H_I Δᵀ) = tr(D_O E D_I Eᵀ) for Δ = W − Ŵ. Let W' = W + Δ(B − I) be the
// weights as the columns before have moved them: that is gptq's walk. Column j of E is Aᵀ(W' − Ŵ)ⱼ,
// so a column is rounded as one would round W'ⱼ against H_O alone: row block I takes
// Z = W' + A_beforeᵀ (W' − Ŵ)_before, and what rounding Z leaves is E.
#include "solver/yaqa/two_sided.h"

#include <fmt/format.h>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/shared/columns_in_turn.h"

namespace karat {
namespace {

struct Range {
  std::int64_t begin, end;
};

/// One run over a layer. Matrices are those of ColumnsInTurn, whose weight is W' of columns to come
/// and Z of those that are done.
class TwoSided {
 public:
  TwoSided(const Layer& layer, const TwoHessians& hessian, const Kept& kept, const Grid& grid,
           const YaqaOptions& options, const torch::Tensor& order);
  Solution run();

 private:
  void walk(Range columns, Range rows);
  torch::Tensor round(Range columns, Range rows, const torch::Tensor& wanted);

  const Grid& grid_;
  ColumnsInTurn columns_;
  const std::int64_t rows_;  // of a block
  torch::Tensor error_;      // W' − Ŵ
  torch::Tensor spread_;     // error_ as the inverse of H_I passes it on
  torch::Tensor factor_;     // [in, in] U of H_I⁻¹ = UᵀU
  torch::Tensor feedback_;   // [out, out] A above its blocks of rows
};

std::int64_t rows_at_once(const Grid& grid, std::int64_t rows) {
  return (rows + grid.rows - 1) / grid.rows * grid.rows;
}

/// A of H = A D Aᵀ, D diagonal blocks of so many rows: R of H = R Rᵀ times the inverses of its own
/// blocks. Only what is above these is right.
torch::Tensor block_unit_factor(torch::Tensor factor, std::int64_t rows) {
  for (std::int64_t begin = rows; begin < factor.size(0); begin += rows) {
    const torch::Tensor columns = factor.slice(1, begin, begin + rows);
    const torch::Tensor own = columns.slice(0, begin, begin + rows),
                        above = columns.slice(0, 0, begin);
    above.copy_(torch::linalg_solve_triangular(own, above, /*upper=*/true, /*left=*/false));
  }
  return factor;
}

TwoSided::TwoSided(const Layer& layer, const TwoHessians& hessian, const Kept& kept,
                   const Grid& grid, const YaqaOptions& options, const torch::Tensor& order)
    : grid_(grid),
      columns_(layer, kept, grid, order, options.static_groups),
      rows_(rows_at_once(grid, options.rows)) {
  factor_ = inverse_factor(columns_.ordered(hessian.inputs), options.damp, layer.name);
  feedback_ = block_unit_factor(upper_factor(hessian.outputs, options.damp_out, layer.name), rows_);
  error_ = torch::zeros_like(columns_.weight);
  spread_ = torch::zeros_like(columns_.weight);
  if (columns_.static_groups())
    columns_.fit_groups(layer.weight, [&](const torch::Tensor& weight, std::int64_t begin) {
      return grid_.fit(columns_.slabs().cut(weight, begin));
    });
}

/// Codes and errors of one part, its weights being `wanted`: Z [columns, rows].
torch::Tensor TwoSided::round(Range columns, Range rows, const torch::Tensor& wanted) {
  const GridParams params =
      rows_of(columns_.params_at(columns.begin), columns_.out(), rows.begin, rows.end);
  const auto part = [&](const torch::Tensor& x) {
    return x.slice(0, columns.begin, columns.end).slice(1, rows.begin, rows.end);
  };
  const torch::Tensor codes = grid_.encode(wanted.t(), params);
  columns_.put(codes, columns.begin, rows.begin);
  torch::Tensor value = grid_.decode(codes, params).t();
  if (columns_.kept.defined()) value = torch::where(part(columns_.kept), wanted, value);
  const torch::Tensor moved = part(columns_.weight), error = moved - value;
  part(error_).copy_(error);
  moved.copy_(wanted);
  return error;
}

/// Some rows of a chunk of columns: rounded from left to right, the rows before having their say.
void TwoSided::walk(Range columns, Range rows) {
  const torch::Tensor from_rows =
      error_.slice(0, columns.begin, columns.end)
          .slice(1, 0, rows.begin)
          .matmul(feedback_.slice(0, 0, rows.begin).slice(1, rows.begin, rows.end));
  for (std::int64_t j = columns.begin, next = j; j < columns.end; j = next) {
    next = columns_.rounded_with(j, columns.end);
    const torch::Tensor own = columns_.weight.slice(1, rows.begin, rows.end);
    const torch::Tensor error =
        round({j, next}, rows,
              own.slice(0, j, next) + from_rows.slice(0, j - columns.begin, next - columns.begin));
    const torch::Tensor factor = factor_.slice(0, j, next);
    const torch::Tensor diagonal = factor.slice(1, j, next);
    const torch::Tensor spread = spread_.slice(0, j, next).slice(1, rows.begin, rows.end);
    spread.copy_(next == j + 1
                     ? error / diagonal
                     : torch::linalg_solve_triangular(diagonal.t(), error, /*upper=*/false));
    const torch::Tensor rest = own.slice(0, next, columns.end);
    const torch::Tensor to_rest = factor.slice(1, next, columns.end);
    if (next == j + 1)
      rest.addr_(to_rest[0], spread[0], 1, -1);
    else
      rest.addmm_(to_rest.t(), spread, 1, -1);
  }
}

/// Where groups are fitted on the way a chunk holds one of them at most: its rows are walked in
/// parts.
Solution TwoSided::run() {
  const std::int64_t in = columns_.in(), out = columns_.out();
  for (std::int64_t begin = 0, end = 0; begin < in; begin = end) {
    end = columns_.chunk_end(begin, /*several_groups=*/columns_.static_groups());
    if (!columns_.static_groups() && begin % columns_.slabs().width() == 0)
      columns_.add_group(grid_.fit(columns_.slabs().cut(columns_.weight.t(), begin)));
    for (std::int64_t row = 0; row < out; row += rows_)
      walk({begin, end}, {row, std::min(out, row + rows_)});
    columns_.weight.slice(0, end, in)
        .addmm_(factor_.slice(0, begin, end).slice(1, end, in).t(), spread_.slice(0, begin, end), 1,
                -1);
  }
  return columns_.solution();
}

}  // namespace

void check_two_sided(const Grid& grid, const YaqaOptions& options) {
  if (options.act_order && grid.block > 1)
    fail("solver yaqa", fmt::format("order=1, a grid of {} columns at a time", grid.block),
         "order=0", "reordered columns have left their block");
}

Solution solve_two_sided(const Layer& layer, const TwoHessians& hessian, const Kept& kept,
                         const Grid& grid, const YaqaOptions& options) {
  torch::Tensor order = torch::arange(hessian.inputs.size(0));
  if (options.act_order)
    order = hessian.inputs.diagonal().argsort(/*stable=*/true, 0, /*descending=*/true);
  return TwoSided(layer, hessian, kept, grid, options, order).run();
}

}  // namespace karat
