// selector saving: what does keeping a weight save, now that its group's range may shrink? Other
// selectors score weights one by one with the range held; yet most of what an outlier costs is the
// range it stretches. Here the score is read as the cost of a squared error in each weight, and a
// group gives up, step by step, the one or two entries whose removal saves most per weight kept,
// its range fitted again each time: its largest, its smallest, its worst-rounded, or two of those.
// Groups do not compete until the end, so only groups that may still win go on (Karat's own).
#include "karat/error.h"
#include "selector/shared/budget.h"
#include "selector/shared/group_step.h"

namespace karat {
namespace {

constexpr std::int64_t kTogether = 1 << 16;  // weights looked at together: what a cache holds

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

/// One step of the rows `rows`. A step worth more than the one before it shares its gain with that
/// one: neither is to be had alone.
void advance(const Grid& grid, const torch::Tensor& rows, double floor, Groups& groups) {
  const auto of = [&](const torch::Tensor& x) { return x.index_select(0, rows); };
  const torch::Tensor kept = of(groups.kept), before = of(groups.last_gain);
  const GroupStep step = best_step(grid, of(groups.weight), of(groups.cost), kept, floor);
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

/// What every group costs with nothing kept: [groups].
torch::Tensor costs_now(const Grid& grid, const Groups& groups, std::int64_t chunk) {
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < groups.weight.size(0); begin += chunk) {
    const auto of = [&](const torch::Tensor& x) { return x.slice(0, begin, begin + chunk); };
    const Rounded now = round_rows(grid, of(groups.weight), of(groups.cost), of(groups.kept));
    parts.push_back(now.cost.flatten());
  }
  return torch::cat(parts);
}

/// The `count`-th best gain so far, 0 while there are fewer, as more come in.
class Floor {
 public:
  explicit Floor(std::int64_t count) : count_(count) {}
  double value() const { return value_; }
  void add(const torch::Tensor& gains) {
    const torch::Tensor more = gains.masked_select(gains > 0);
    best_ = best_.defined() ? torch::cat({best_, more}) : more;
    if (best_.numel() < count_) return;
    best_ = std::get<0>(best_.topk(count_, 0, /*largest=*/true, /*sorted=*/false));
    value_ = best_.min().item<double>();
  }

 private:
  std::int64_t count_;
  torch::Tensor best_;
  double value_ = 0;
};

/// Every group's first step, the most expensive groups first: no entry saves more than its group
/// costs, so the cheap ones cannot be among the `count` best.
void first_steps(const Grid& grid, std::int64_t count, std::int64_t chunk, Groups& groups) {
  const auto [cost, order] = costs_now(grid, groups, chunk).sort(0, /*descending=*/true);
  Floor floor(count);
  for (std::int64_t begin = 0; begin < order.size(0); begin += chunk) {
    if (cost[begin].item<double>() < floor.value()) return;
    const torch::Tensor rows = order.slice(0, begin, begin + chunk);
    advance(grid, rows, floor.value(), groups);
    floor.add(groups.gain.index_select(0, rows));
  }
}

/// With `all`, steps of every group are wanted, not just of those that win.
torch::Tensor worth(const torch::Tensor& weight, const torch::Tensor& scores, const Grid& grid,
                    std::int64_t count, bool all) {
  const std::int64_t out = weight.size(0), in = weight.size(1), n = grid.group_size(in);
  Groups groups{.weight = fold(weight, n, 0), .cost = fold(scores, n, 0)};
  groups.kept = fold(torch::zeros_like(weight), n, 1).to(torch::kBool);
  groups.gain = torch::zeros_like(groups.weight);
  groups.last_gain = torch::full({groups.weight.size(0), 1}, -1.0, weight.options());
  groups.last = torch::zeros_like(groups.kept);
  const std::int64_t chunk = std::max<std::int64_t>(1, kTogether / n);
  torch::Tensor rows = torch::arange(groups.weight.size(0));
  for (std::int64_t step = 0; step < n && count > 0 && rows.numel() > 0; ++step) {
    if (step == 0 && !all) {
      first_steps(grid, count, chunk, groups);
    } else {
      for (const torch::Tensor& some : rows.split(chunk)) advance(grid, some, 0, groups);
    }
    rows = still_winning(groups, count);
  }
  return groups.gain.view({out, -1}).slice(1, 0, in).contiguous();
}

}  // namespace

Selector saving_selector(Options& options) {
  KeptBudget budget = choose_budget(options);
  budget.only_positive = true;
  Selector selector = keep_best(budget);
  selector.check = [](const Grid& grid) {
    if (!grid.fit_rows)
      fail("selector saving", "a grid without a range", "an affine grid",
           "for a lookup table use selector top");
  };
  selector.worth = [budget](const Layer& layer, const torch::Tensor& scores, const Grid& grid) {
    // With one budget for the model a layer may get more than its share; four times is offered.
    const double most = std::min(1.0, budget.ratio * (budget.scope == "matrix" ? 1 : 4));
    return worth(layer.weight, scores, grid, share(most, layer.weight.numel()),
                 budget.scope != "matrix");
  };
  return selector;
}

}  // namespace karat
