#include "solver/shared/columns_in_turn.h"

#include <algorithm>

namespace karat {
namespace {

constexpr std::int64_t kChunk = 128;  // columns

}  // namespace

ColumnsInTurn::ColumnsInTurn(const Layer& layer, const Kept& layer_kept, const Grid& grid,
                             const torch::Tensor& order, bool static_groups)
    : weight(layer.weight.t().index_select(0, order)),
      slabs_(layer, layer_kept, grid),
      block_(grid.block),
      order_(order),
      back_(order.argsort()),
      static_groups_(static_groups) {
  if (layer_kept.defined()) kept = layer_kept.t().index_select(0, order);
  for (std::int64_t turn = 0; turn < in(); ++turn)
    group_.push_back(order[turn].item<std::int64_t>() / slabs_.width());
}

torch::Tensor ColumnsInTurn::ordered(const torch::Tensor& hessian) const {
  if (torch::equal(order_, torch::arange(in()))) return hessian;
  return hessian.index_select(0, order_).index_select(1, order_);
}

std::int64_t ColumnsInTurn::rounded_with(std::int64_t turn, std::int64_t end) const {
  const std::int64_t width = slabs_.width();
  return std::min({end, turn + block_, turn - turn % width + width});
}

std::int64_t ColumnsInTurn::chunk_end(std::int64_t begin, bool several_groups) const {
  const std::int64_t width = slabs_.width();
  const std::int64_t chunk = std::max(block_, kChunk / block_ * block_);
  const std::int64_t span = several_groups && width < chunk ? chunk / width * width : width;
  return std::min({in(), begin / span * span + span, begin + chunk});
}

void ColumnsInTurn::put(const torch::Tensor& codes, std::int64_t column, std::int64_t row) {
  if (!codes_.defined()) codes_ = torch::empty(weight.sizes(), codes.options());
  codes_.narrow(0, column, codes.size(1)).narrow(1, row, codes.size(0)).copy_(codes.t());
}

Solution ColumnsInTurn::solution() {
  return {.codes = restored(codes_),
          .params = std::move(params_),
          .weight = restored(weight),
          .kept = kept.defined() && kept.any().item<bool>() ? restored(kept) : Kept()};
}

}  // namespace karat
