// selector saving: what does keeping a weight save, now that its group's range may shrink? Other
// selectors score weights one by one with the range held; yet most of what an outlier costs is the
// range it stretches. Here the score is read as the cost of a squared error in each weight, and a
// group gives up, step by step, the one or two entries whose removal saves most per weight kept,
// its range fitted anew each time: its largest, its smallest, its worst-rounded, or two of those.
// Groups do not compete until the end, so only groups that may still win go on (Karat's own).
#include "karat/error.h"
#include "selector/shared/budget.h"

namespace karat {
namespace {

constexpr std::int64_t kRows = 1 << 15;  // groups looked at together: some 10 MB a tensor
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Groups as rows [groups, n]; the padding of a last, narrower group counts as kept.
struct Groups {
  torch::Tensor weight, cost;
  torch::Tensor kept = {};       // bool
  torch::Tensor gain = {};       // what keeping each entry saves; 0: not offered
  torch::Tensor last = {};       // bool: the entries of each row's last step
  torch::Tensor last_gain = {};  // what each of them saves [groups, 1]
};

torch::Tensor fold(const torch::Tensor& x, std::int64_t n, double padding) {
  const std::int64_t missing = (n - x.size(1) % n) % n;
  return torch::constant_pad_nd(x, {0, missing}, padding).view({-1, n});
}

/// The error of some rows under a mask: in all [rows, 1] and of each entry [rows, n].
struct Rounded {
  torch::Tensor cost, each;
};
Rounded round_rows(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
                   const torch::Tensor& kept) {
  const GridParams params = grid.fit_rows({.weight = weight, .kept = kept, .cost = cost});
  torch::Tensor each = (grid.decode(grid.encode(weight, params), params) - weight).square_();
  each.mul_(cost).masked_fill_(kept, 0);
  return {each.sum(1, /*keepdim=*/true), each};
}

/// The best step of some rows: saved per entry [rows, 1] and which entries [rows, n].
struct Step {
  torch::Tensor gain, entries;
};
Step best_step(const Grid& grid, const torch::Tensor& weight, const torch::Tensor& cost,
               const torch::Tensor& kept) {
  const Rounded now = round_rows(grid, weight, cost, kept);
  const auto pair = [&](const torch::Tensor& x, bool largest) {
    return std::get<1>(x.topk(std::min<std::int64_t>(2, x.size(1)), 1, largest));
  };
  const torch::Tensor high = pair(weight.masked_fill(kept, -kInfinity), true);
  const torch::Tensor low = pair(weight.masked_fill(kept, kInfinity), false);
  const torch::Tensor worst = pair(now.each.masked_fill(kept, -1), true);
  const auto first = [](const torch::Tensor& x) { return x.slice(1, 0, 1); };
  Step best{torch::zeros_like(now.cost), torch::zeros_like(kept)};
  for (const torch::Tensor& entries :
       {first(high), first(low), first(worst), high, low, torch::cat({first(high), first(low)}, 1),
        torch::cat({first(high), first(worst)}, 1), torch::cat({first(low), first(worst)}, 1)}) {
    const torch::Tensor more = torch::zeros_like(kept).scatter_(1, entries, true) & ~kept;
    const torch::Tensor saved = now.cost - round_rows(grid, weight, cost, kept | more).cost;
    const torch::Tensor gain = saved / more.sum(1, /*keepdim=*/true).clamp_min(1);
    const torch::Tensor better = gain > best.gain;
    best.gain = torch::where(better, gain, best.gain);
    best.entries = torch::where(better, more, best.entries);
  }
  return best;
}

/// One step of the rows `rows`. A step worth more than the one before it shares its gain with that
/// one: neither is to be had alone.
void advance(const Grid& grid, const torch::Tensor& rows, Groups& groups) {
  const auto of = [&](const torch::Tensor& x) { return x.index_select(0, rows); };
  const torch::Tensor kept = of(groups.kept), before = of(groups.last_gain);
  Step step = best_step(grid, of(groups.weight), of(groups.cost), kept);
  torch::Tensor entries = step.entries;
  const torch::Tensor risen = step.gain > before;
  const torch::Tensor old = of(groups.last) & risen;
  const torch::Tensor count = entries.sum(1, /*keepdim=*/true),
                      old_count = old.sum(1, /*keepdim=*/true);
  const torch::Tensor pooled = (step.gain * count + torch::where(risen, before * old_count, 0)) /
                               (count + old_count).clamp_min(1);
  const torch::Tensor shared = torch::where(risen & (old_count > 0), pooled, step.gain);
  groups.kept.index_copy_(0, rows, kept | entries);
  entries = entries | old;
  groups.gain.index_copy_(0, rows, torch::where(entries, shared, of(groups.gain)));
  groups.last.index_copy_(0, rows, entries);
  groups.last_gain.index_copy_(0, rows, shared);
}

/// Rows whose last step is still among the `count` best entries: the others cannot win any more.
torch::Tensor still_winning(const Groups& groups, std::int64_t count) {
  const torch::Tensor gains = groups.gain.masked_select(groups.gain > 0);
  if (gains.numel() == 0) return torch::empty({0}, torch::kInt64);
  torch::Tensor floor = torch::zeros({}, gains.options());
  if (gains.numel() > count) floor = std::get<0>(gains.kthvalue(gains.numel() - count + 1));
  const torch::Tensor winning = (groups.last_gain > 0) & (groups.last_gain >= floor);
  return winning.flatten().nonzero().flatten();
}

torch::Tensor worth(const torch::Tensor& weight, const torch::Tensor& scores, const Grid& grid,
                    std::int64_t count) {
  const std::int64_t out = weight.size(0), in = weight.size(1), n = grid.group_size(in);
  Groups groups{.weight = fold(weight, n, 0), .cost = fold(scores, n, 0)};
  groups.kept = fold(torch::zeros_like(weight), n, 1).to(torch::kBool);
  groups.gain = torch::zeros_like(groups.weight);
  groups.last_gain = torch::full({groups.weight.size(0), 1}, -1.0, weight.options());
  groups.last = torch::zeros_like(groups.kept);
  torch::Tensor rows = torch::arange(groups.weight.size(0));
  for (std::int64_t step = 0; step < n && count > 0 && rows.numel() > 0; ++step) {
    for (const torch::Tensor& chunk : rows.split(kRows)) advance(grid, chunk, groups);
    rows = still_winning(groups, count);
  }
  return groups.gain.view({out, -1}).slice(1, 0, in).contiguous();
}

}  // namespace

Selector saving_selector(Options& options) {
  Budget budget = choose_budget(options);
  budget.only_positive = true;
  Selector selector = keep_best(budget);
  selector.worth = [budget](const Layer& layer, const torch::Tensor& scores, const Grid& grid) {
    if (!grid.fit_rows)
      fail("selector saving", "a grid without a range", "an affine grid",
           "for a lookup table use selector top");
    // With one budget for the model a layer may get more than its share; four times is offered.
    const double most = std::min(1.0, budget.ratio * (budget.scope == "matrix" ? 1 : 4));
    return worth(layer.weight, scores, grid, share(most, layer.weight.numel()));
  };
  return selector;
}

}  // namespace karat
