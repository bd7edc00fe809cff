#include "selector/shared/group_step.h"

#include <limits>

namespace karat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Some groups before a step, and what it is chosen from.
struct Choice {
  torch::Tensor weight, cost, kept, now;  // [rows, n], and what they cost now [rows, 1]
  torch::Tensor high, low, worst;         // [rows, 2] the two best columns of each kind
  Choice at(const torch::Tensor& rows) const {
    const auto of = [&](const torch::Tensor& x) { return x.index_select(0, rows); };
    return {of(weight), of(cost), of(kept), of(now), of(high), of(low), of(worst)};
  }
};
Choice choice_of(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                 const torch::Tensor& kept) {
  const Rounded now = round_rows(grid, weight, cost, kept);
  const auto pair = [&](const torch::Tensor& x, bool largest) {
    return std::get<1>(x.topk(std::min<std::int64_t>(2, x.size(1)), 1, largest));
  };
  return {weight,
          cost,
          kept,
          now.cost,
          pair(weight.masked_fill(kept, -kInfinity), true),
          pair(weight.masked_fill(kept, kInfinity), false),
          pair(now.each.masked_fill(kept, -1), true)};
}

/// Keeps, where that is better than `best`, the entries in `columns` [rows, 1 or 2].
void offer(const Grid& grid, const Choice& from, const torch::Tensor& columns, GroupStep& best) {
  const torch::Tensor more = torch::zeros_like(from.kept).scatter_(1, columns, true) & ~from.kept;
  const torch::Tensor saved =
      from.now - round_rows(grid, from.weight, from.cost, from.kept | more).cost;
  const torch::Tensor gain = saved / more.sum(1, /*keepdim=*/true).clamp_min(1);
  const torch::Tensor better = gain > best.gain;
  best.gain = torch::where(better, gain, best.gain);
  best.entries = torch::where(better, more, best.entries);
}

}  // namespace

Rounded round_rows(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                   const torch::Tensor& kept) {
  const GridParams params = grid.fit_rows({.weight = weight, .kept = kept, .cost = cost});
  torch::Tensor each = (grid.decode(grid.encode(weight, params), params) - weight).square_();
  each.mul_(cost).masked_fill_(kept, 0);
  return {each.sum(1, /*keepdim=*/true), each};
}

GroupStep best_step(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                    const torch::Tensor& kept, double floor) {
  const Choice from = choice_of(grid, weight, cost, kept);
  const auto first = [](const torch::Tensor& x) { return x.slice(1, 0, 1); };
  const auto both = [&](const torch::Tensor& a, const torch::Tensor& b) {
    return torch::cat({first(a), first(b)}, 1);
  };
  GroupStep best{torch::zeros_like(from.now), torch::zeros_like(from.kept)};
  for (const torch::Tensor& columns : {first(from.high), first(from.low), first(from.worst)})
    offer(grid, from, columns, best);
  // Two entries save at most half of all cost each, which often rules them out.
  const torch::Tensor open = from.now / 2 > best.gain.clamp_min(floor);
  const torch::Tensor rows = open.flatten().nonzero().flatten();
  if (rows.numel() == 0) return best;
  const Choice some = from.at(rows);
  GroupStep pairs{best.gain.index_select(0, rows), best.entries.index_select(0, rows)};
  for (const torch::Tensor& columns : {some.high, some.low, both(some.high, some.low),
                                       both(some.high, some.worst), both(some.low, some.worst)})
    offer(grid, some, columns, pairs);
  best.gain.index_copy_(0, rows, pairs.gain);
  best.entries.index_copy_(0, rows, pairs.entries);
  return best;
}

}  // namespace karat
