// With H_O = A D_O Aᵀ and H_I = B D_I Bᵀ, A and B unit upper triangular, D diagonal (of blocks),
// E = AᵀΔB makes tr(H_O Δ H_I Δᵀ) = tr(D_O E D_I Eᵀ) for Δ = W − Ŵ. Let W' = W + Δ(B − I) be the
// weights as the columns before have moved them: that is gptq's walk. Column j of E is Aᵀ(W' − Ŵ)ⱼ,
// so a column is rounded as one would round W'ⱼ against H_O alone: row block I takes
// Z = W' + A_beforeᵀ (W' − Ŵ)_before, and what rounding Z leaves is E.
#include "solver/yaqa/two_sided.h"

#include <fmt/format.h>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"

namespace karat {
namespace {

constexpr std::int64_t kColumnChunk = 128;  // columns whose updates to the rest are applied at once

struct Range {
  std::int64_t begin, end;
};

/// One run over a layer. Matrices are transposed, [in, out], and in the order of processing.
class TwoSided {
 public:
  TwoSided(const Layer& layer, const TwoHessians& hessian, const Kept& kept, const Grid& grid,
           const YaqaOptions& options, const torch::Tensor& order);
  Solution run();

 private:
  std::int64_t in() const { return weight_.size(0); }
  std::int64_t out() const { return weight_.size(1); }
  std::int64_t chunk_end(std::int64_t begin) const;
  void walk(Range columns, Range rows);
  torch::Tensor round(Range columns, Range rows, const torch::Tensor& wanted);
  torch::Tensor restored(const torch::Tensor& x) const {
    return x.index_select(0, back_).t().contiguous();
  }

  const Grid& grid_;
  const Slabs slabs_;
  const torch::Tensor order_, back_;
  const bool static_groups_;
  const std::int64_t rows_;  // of a block
  torch::Tensor weight_;     // W' of columns to come; Z of those that are done
  torch::Tensor codes_, kept_;
  torch::Tensor error_;              // W' − Ŵ
  torch::Tensor spread_;             // error_ as the inverse of H_I passes it on
  torch::Tensor factor_;             // [in, in] U of H_I⁻¹ = UᵀU
  torch::Tensor feedback_;           // [out, out] A above its blocks of rows
  std::vector<std::int64_t> group_;  // of each column
  std::vector<GridParams> params_;   // of each group; the one at hand is the last, if dynamic
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
      slabs_(layer, kept, grid),
      order_(order),
      back_(order.argsort()),
      static_groups_(options.static_groups),
      rows_(rows_at_once(grid, options.rows)) {
  const torch::Tensor ordered = hessian.inputs.index_select(0, order).index_select(1, order);
  weight_ = layer.weight.t().index_select(0, order);
  factor_ = inverse_factor(ordered, options.damp, layer.name);
  feedback_ = block_unit_factor(upper_factor(hessian.outputs, options.damp_out, layer.name), rows_);
  error_ = torch::zeros_like(weight_);
  spread_ = torch::zeros_like(weight_);
  if (kept.defined()) kept_ = kept.t().index_select(0, order);
  for (std::int64_t j = 0; j < in(); ++j)
    group_.push_back(order[j].item<std::int64_t>() / slabs_.width());
  if (static_groups_)
    for (std::int64_t begin = 0; begin < in(); begin += slabs_.width())
      params_.push_back(grid_.fit(slabs_.cut(layer.weight, begin)));
}

/// Codes and errors of one part, its weights being `wanted`: Z [columns, rows].
torch::Tensor TwoSided::round(Range columns, Range rows, const torch::Tensor& wanted) {
  const GridParams params = rows_of(params_[static_cast<std::size_t>(group_[columns.begin])], out(),
                                    rows.begin, rows.end);
  const auto part = [&](const torch::Tensor& x) {
    return x.slice(0, columns.begin, columns.end).slice(1, rows.begin, rows.end);
  };
  const torch::Tensor codes = grid_.encode(wanted.t(), params);
  if (!codes_.defined()) codes_ = torch::empty(weight_.sizes(), codes.options());
  part(codes_).copy_(codes.t());
  torch::Tensor value = grid_.decode(codes, params).t();
  if (kept_.defined()) value = torch::where(part(kept_), wanted, value);
  const torch::Tensor moved = part(weight_), error = moved - value;
  part(error_).copy_(error);
  moved.copy_(wanted);
  return error;
}

/// Some rows of a chunk of columns: rounded from left to right, the rows before having their say.
void TwoSided::walk(Range columns, Range rows) {
  const std::int64_t width = slabs_.width();
  const torch::Tensor from_rows =
      error_.slice(0, columns.begin, columns.end)
          .slice(1, 0, rows.begin)
          .matmul(feedback_.slice(0, 0, rows.begin).slice(1, rows.begin, rows.end));
  for (std::int64_t j = columns.begin, next = j; j < columns.end; j = next) {
    next = std::min({columns.end, j + grid_.block, j - j % width + width});
    const torch::Tensor own = weight_.slice(1, rows.begin, rows.end);
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

/// A chunk ends where its group ends, so that a group never begins with updates outstanding; where
/// groups are fitted on the way it holds one of them at most.
std::int64_t TwoSided::chunk_end(std::int64_t begin) const {
  const std::int64_t width = slabs_.width(), block = grid_.block;
  const std::int64_t chunk = std::max(block, kColumnChunk / block * block);
  const std::int64_t span = width < chunk && static_groups_ ? chunk / width * width : width;
  return std::min({in(), begin / span * span + span, begin + chunk});
}

Solution TwoSided::run() {
  for (std::int64_t begin = 0, end = 0; begin < in(); begin = end) {
    end = chunk_end(begin);
    if (!static_groups_ && begin % slabs_.width() == 0)
      params_.push_back(grid_.fit(slabs_.cut(weight_.t(), begin)));
    for (std::int64_t row = 0; row < out(); row += rows_)
      walk({begin, end}, {row, std::min(out(), row + rows_)});
    weight_.slice(0, end, in())
        .addmm_(factor_.slice(0, begin, end).slice(1, end, in()).t(), spread_.slice(0, begin, end),
                1, -1);
  }
  return {.codes = restored(codes_),
          .params = std::move(params_),
          .weight = restored(weight_),
          .kept = kept_.defined() && kept_.any().item<bool>() ? restored(kept_) : Kept()};
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
