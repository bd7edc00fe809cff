#include "solver/gptq/columns.h"

#include <fmt/format.h>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "solver/gptq/outliers.h"
#include "solver/shared/columns_in_turn.h"

namespace karat {
namespace {

/// One run over a layer. Matrices are those of ColumnsInTurn.
class Columns {
 public:
  Columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept, const Grid& grid,
          const GptqOptions& options, const torch::Tensor& order);
  Solution run();

 private:
  void look_for_outliers(const torch::Tensor& weight, double relative);
  GridParams fit(const torch::Tensor& weight, std::int64_t begin) const;
  void round(std::int64_t begin, std::int64_t end);
  void walk(std::int64_t begin, std::int64_t end);

  const Grid& grid_;
  ColumnsInTurn columns_;
  torch::Tensor error_, factor_;
  torch::Tensor cost_;    // [1, in] of an error, given that later columns make up for it
  double threshold_ = 0;  // of an outlier's cost; 0: there are none
};

Columns::Columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                 const Grid& grid, const GptqOptions& options, const torch::Tensor& order)
    : grid_(grid), columns_(layer, kept, grid, order, options.static_groups) {
  // Inputs that were always 0 have an empty row in H, so they neither give nor take corrections.
  factor_ = inverse_factor(columns_.ordered(hessian), options.damp, layer.name);
  error_ = torch::zeros_like(columns_.weight);
  if (options.outliers > 0) look_for_outliers(layer.weight, options.outliers);
  if (columns_.static_groups())
    columns_.fit_groups(layer.weight, [&](const auto&... at) { return fit(at...); });
}

void Columns::look_for_outliers(const torch::Tensor& weight, double relative) {
  const torch::Tensor ordered = factor_.diagonal().square().reciprocal();
  cost_ = columns_.in_layers_order(ordered).unsqueeze(0);
  threshold_ = outlier_threshold(relative, weight, cost_);
  if (!columns_.kept.defined()) columns_.kept = torch::zeros_like(columns_.weight, torch::kBool);
}

/// The group of columns that begins there in the layer, weights [out, in] in the layer's order.
/// Likely outliers, by the gain of leaving each out, stay out of the range. Which weights are kept
/// is seen when their column comes, by what they cost on the grid as it is then: so SpQR's code.
GridParams Columns::fit(const torch::Tensor& weight, std::int64_t begin) const {
  Slab slab = columns_.slabs().cut(weight, begin);
  if (cost_.defined()) {
    const torch::Tensor cost = cost_.narrow(1, begin, slab.weight.size(1));
    const Kept likely = leave_one_out_gain(slab, cost, grid_) > threshold_;
    slab.kept = slab.kept.defined() ? slab.kept | likely : likely;
  }
  return grid_.fit(slab);
}

/// Columns [begin, end), rounded together. H⁻¹ = UᵀU, so the inverse of what is left of H begins
/// with U_BBᵀ U_BB and goes on with U_BBᵀ U_B,rest: the rest moves by −(E U_BB⁻¹) U_B,rest.
void Columns::round(std::int64_t begin, std::int64_t end) {
  const GridParams& params = columns_.params_at(begin);
  const torch::Tensor columns = columns_.weight.slice(0, begin, end).t();  // [out, end - begin]
  const torch::Tensor codes = grid_.encode(columns, params);
  columns_.put(codes, begin, 0);
  torch::Tensor wrong = (columns - grid_.decode(codes, params)).t();
  const torch::Tensor factor = factor_.slice(0, begin, end).slice(1, begin, end);
  const Kept& kept = columns_.kept;
  if (cost_.defined())
    kept.slice(0, begin, end)
        .logical_or_((wrong / factor.diagonal().unsqueeze(1)).square() > threshold_);
  if (kept.defined()) wrong.masked_fill_(kept.slice(0, begin, end), 0);
  error_.slice(0, begin, end)
      .copy_(end - begin == 1 ? wrong / factor
                              : torch::linalg_solve_triangular(factor.t(), wrong, /*upper=*/false));
}

/// Rounds columns [begin, end), each passing its error on to the later ones.
void Columns::walk(std::int64_t begin, std::int64_t end) {
  torch::Tensor& weight = columns_.weight;
  for (std::int64_t j = begin, next = begin; j < end; j = next) {
    if (!columns_.static_groups() && j % columns_.slabs().width() == 0)
      columns_.add_group(fit(weight.t(), j));
    next = columns_.rounded_with(j, end);
    round(j, next);
    const torch::Tensor rest = weight.slice(0, next, end);
    const torch::Tensor factor = factor_.slice(0, j, next).slice(1, next, end);
    if (next == j + 1)
      rest.addr_(factor[0], error_[j], 1, -1);
    else
      rest.addmm_(factor.t(), error_.slice(0, j, next), 1, -1);
  }
  weight.slice(0, end, columns_.in())
      .addmm_(factor_.slice(0, begin, end).slice(1, end, columns_.in()).t(),
              error_.slice(0, begin, end), 1, -1);
}

Solution Columns::run() {
  for (std::int64_t begin = 0, end = 0; begin < columns_.in(); begin = end) {
    end = columns_.chunk_end(begin, /*several_groups=*/true);
    walk(begin, end);
  }
  return columns_.solution();
}

/// Columns in the order of processing. Where it is free, wholly kept columns come last: there they
/// take up what the others could not (OWQ, arXiv 2306.02272).
torch::Tensor order_of(const torch::Tensor& hessian, const Kept& kept, const Grid& grid,
                       const GptqOptions& options) {
  torch::Tensor order = torch::arange(hessian.size(0));
  if (!options.static_groups || grid.block > 1) return order;
  const auto sorted = [&](const torch::Tensor& key, bool descending) {
    return order.index_select(0, key.argsort(/*stable=*/true, 0, descending));
  };
  if (options.act_order) order = sorted(hessian.diagonal(), true);
  if (kept.defined()) order = sorted(kept.all(0).index_select(0, order).to(torch::kUInt8), false);
  return order;
}

}  // namespace

void check_columns(const Grid& grid, const GptqOptions& options) {
  if (options.act_order && grid.block > 1)
    fail("solver gptq", fmt::format("order=1, a grid of {} columns at a time", grid.block),
         "order=0", "reordered columns have left their block");
  if (options.outliers > 0 && !grid.fit_rows)
    fail("solver gptq", fmt::format("outliers={}, a grid without a range", options.outliers),
         "an affine grid", "it is the range that an outlier stretches");
}

Solution solve_columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                       const Grid& grid, const GptqOptions& options) {
  const torch::Tensor order = order_of(hessian, kept, grid, options);
  return Columns(layer, hessian, kept, grid, options, order).run();
}

}  // namespace karat
