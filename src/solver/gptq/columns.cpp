#include "solver/gptq/columns.h"

#include <fmt/format.h>

#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"
#include "solver/gptq/outliers.h"

namespace karat {
namespace {

constexpr std::int64_t kChunk = 128;  // columns whose updates to the rest are applied at once

/// One run over a layer. Matrices are transposed, [in, out], so that a column of W is contiguous,
/// and in the order of processing.
class Columns {
 public:
  Columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept, const Grid& grid,
          const GptqOptions& options, const torch::Tensor& order);
  Solution run();

 private:
  std::int64_t in() const { return weight_.size(0); }
  void look_for_outliers(const torch::Tensor& weight, double relative);
  GridParams fit(const torch::Tensor& weight, std::int64_t begin) const;
  void round(std::int64_t begin, std::int64_t end);
  void walk(std::int64_t begin, std::int64_t end);
  torch::Tensor restored(const torch::Tensor& x) const {
    return x.index_select(0, back_).t().contiguous();
  }

  const Grid& grid_;
  const Slabs slabs_;
  const torch::Tensor order_, back_;
  const bool static_groups_;
  torch::Tensor weight_, codes_, error_, factor_;
  Kept kept_;
  torch::Tensor cost_;               // [1, in] of an error, given that later columns make up for it
  double threshold_ = 0;             // of an outlier's cost; 0: there are none
  std::vector<std::int64_t> group_;  // of each column
  std::vector<GridParams> params_;   // of each group; the one at hand is the last, if dynamic
};

Columns::Columns(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                 const Grid& grid, const GptqOptions& options, const torch::Tensor& order)
    : grid_(grid),
      slabs_(layer, kept, grid),
      order_(order),
      back_(order.argsort()),
      static_groups_(options.static_groups) {
  // Inputs that were always 0 have an empty row in H, so they neither give nor take corrections.
  const bool moves = !torch::equal(order, torch::arange(order.size(0)));
  const torch::Tensor ordered =
      moves ? hessian.index_select(0, order).index_select(1, order) : hessian;
  weight_ = layer.weight.t().index_select(0, order);
  factor_ = inverse_factor(ordered, options.damp, layer.name);
  error_ = torch::zeros_like(weight_);
  if (kept.defined()) kept_ = kept.t().index_select(0, order);
  if (options.outliers > 0) look_for_outliers(layer.weight, options.outliers);
  for (std::int64_t j = 0; j < in(); ++j)
    group_.push_back(order[j].item<std::int64_t>() / slabs_.width());
  if (static_groups_)
    for (std::int64_t begin = 0; begin < in(); begin += slabs_.width())
      params_.push_back(fit(layer.weight, begin));
}

void Columns::look_for_outliers(const torch::Tensor& weight, double relative) {
  const torch::Tensor ordered = factor_.diagonal().square().reciprocal();
  cost_ = ordered.index_select(0, back_).unsqueeze(0);
  threshold_ = outlier_threshold(relative, weight, cost_);
  if (!kept_.defined()) kept_ = torch::zeros_like(weight_, torch::kBool);
}

/// The group of columns that begins there in the layer, weights [out, in] in the layer's order.
/// Likely outliers, by the gain of leaving each out, stay out of the range. Which weights are kept
/// is seen when their column comes, by what they cost on the grid as it is then: so SpQR's code.
GridParams Columns::fit(const torch::Tensor& weight, std::int64_t begin) const {
  Slab slab = slabs_.cut(weight, begin);
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
  const GridParams& params = params_[static_cast<std::size_t>(group_[begin])];
  const torch::Tensor columns = weight_.slice(0, begin, end).t();  // [out, end - begin]
  const torch::Tensor codes = grid_.encode(columns, params);
  if (!codes_.defined()) codes_ = torch::empty(weight_.sizes(), codes.options());
  codes_.slice(0, begin, end).copy_(codes.t());
  torch::Tensor wrong = (columns - grid_.decode(codes, params)).t();
  const torch::Tensor factor = factor_.slice(0, begin, end).slice(1, begin, end);
  if (cost_.defined())
    kept_.slice(0, begin, end)
        .logical_or_((wrong / factor.diagonal().unsqueeze(1)).square() > threshold_);
  if (kept_.defined()) wrong.masked_fill_(kept_.slice(0, begin, end), 0);
  error_.slice(0, begin, end)
      .copy_(end - begin == 1 ? wrong / factor
                              : torch::linalg_solve_triangular(factor.t(), wrong, /*upper=*/false));
}

/// Rounds columns [begin, end), each passing its error on to the later ones.
void Columns::walk(std::int64_t begin, std::int64_t end) {
  const std::int64_t width = slabs_.width();
  for (std::int64_t j = begin, next = begin; j < end; j = next) {
    if (!static_groups_ && j % width == 0) params_.push_back(fit(weight_.t(), j));
    next = std::min({end, j + grid_.block, j - j % width + width});
    round(j, next);
    const torch::Tensor rest = weight_.slice(0, next, end);
    const torch::Tensor factor = factor_.slice(0, j, next).slice(1, next, end);
    if (next == j + 1)
      rest.addr_(factor[0], error_[j], 1, -1);
    else
      rest.addmm_(factor.t(), error_.slice(0, j, next), 1, -1);
  }
  weight_.slice(0, end, in())
      .addmm_(factor_.slice(0, begin, end).slice(1, end, in()).t(), error_.slice(0, begin, end), 1,
              -1);
}

/// A chunk ends where its group ends, so that a group never begins with updates outstanding.
Solution Columns::run() {
  const std::int64_t width = slabs_.width(), block = grid_.block;
  const std::int64_t chunk = std::max(block, kChunk / block * block);
  const std::int64_t span = width < chunk ? chunk / width * width : width;
  for (std::int64_t begin = 0, end = 0; begin < in(); begin = end) {
    end = std::min({in(), begin / span * span + span, begin + chunk});
    walk(begin, end);
  }
  return {.codes = restored(codes_),
          .params = std::move(params_),
          .weight = restored(weight_),
          .kept = kept_.defined() && kept_.any().item<bool>() ? restored(kept_) : Kept()};
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
