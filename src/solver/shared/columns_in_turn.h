// A layer as a solver walks over it, column by column or some at once.
#pragma once

#include <vector>

#include "karat/axes.h"
#include "recipe/slab.h"

namespace karat {

/// Matrices are transposed, [in, out], so that a column of W is contiguous, and in the order of
/// processing; in_layers_order() and solution() lead back.
class ColumnsInTurn {
 public:
  /// `order` [in]: the layer's column at each turn. Without `static_groups` a group is fitted when
  /// its first column comes, to the weights as they are then.
  ColumnsInTurn(const Layer& layer, const Kept& kept, const Grid& grid, const torch::Tensor& order,
                bool static_groups);

  std::int64_t in() const { return weight.size(0); }
  std::int64_t out() const { return weight.size(1); }
  bool static_groups() const { return static_groups_; }
  const Slabs& slabs() const { return slabs_; }
  /// H [in, in] in the order of processing; H itself, and no copy, where that is the layer's.
  torch::Tensor ordered(const torch::Tensor& hessian) const;
  /// [in, …] in the order of processing -> the layer's.
  torch::Tensor in_layers_order(const torch::Tensor& x) const { return x.index_select(0, back_); }

  template <typename Fit>
  void fit_groups(const torch::Tensor& layer_weight, const Fit& fit) {
    for (std::int64_t begin = 0; begin < in(); begin += slabs_.width())
      params_.push_back(fit(layer_weight, begin));
  }
  void add_group(GridParams params) { params_.push_back(std::move(params)); }
  const GridParams& params_at(std::int64_t turn) const {
    return params_[static_cast<std::size_t>(group_[static_cast<std::size_t>(turn)])];
  }
  /// The end of the columns that are rounded together with the one at `turn`, at most `end`.
  std::int64_t rounded_with(std::int64_t turn, std::int64_t end) const;
  /// The end of the chunk that begins at `begin`: columns whose updates to the rest are applied at
  /// once. It ends where a group ends, so that none begins with updates outstanding, and holds
  /// several groups only if told so.
  std::int64_t chunk_end(std::int64_t begin, bool several_groups) const;
  /// Codes [rows, columns] of the columns from `column` and the rows from `row`.
  void put(const torch::Tensor& codes, std::int64_t column, std::int64_t row);
  Solution solution();

  torch::Tensor weight;  // as the solver moves it
  Kept kept;             // undefined: none

 private:
  torch::Tensor restored(const torch::Tensor& x) const {
    return in_layers_order(x).t().contiguous();
  }
  const Slabs slabs_;
  const std::int64_t block_;
  const torch::Tensor order_, back_;
  const bool static_groups_;
  torch::Tensor codes_;
  std::vector<std::int64_t> group_;  // of each column
  std::vector<GridParams> params_;   // of each group; the one at hand is the last, if dynamic
};

}  // namespace karat
