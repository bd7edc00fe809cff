// solver lnq: for grids of lookup tables, tables and codes by turns (LNQ, GuidedQuant, arXiv
// 2505.07004): tables by least squares for the codes at hand, then codes column after column, each
// weight taking the value that best suits the errors of all the others. The layer's error, Σ over
// rows of eᵀHe, never rises. The grid's own fit is the start.
#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"

namespace karat {
namespace {

constexpr std::int64_t kSlopeChunk =
    128;  // columns whose part in each other's slope is added at once

/// One run over a layer. Errors ŵ − w are transposed, [in, out], so that a column is contiguous.
class Alternation {
 public:
  Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept, const Grid& grid);
  void refit();
  bool descend();
  Solution solution(const Kept& kept) const;

 private:
  std::int64_t in() const { return weight_.size(1); }
  std::size_t group_of(std::int64_t j) const {
    return static_cast<std::size_t>(j / slabs_.width());
  }
  void update_errors(const Slab& slab, std::int64_t begin);
  torch::Tensor choose(std::int64_t j, const torch::Tensor& slope);

  const Grid& grid_;
  const Slabs slabs_;
  torch::Tensor weight_, hessian_, error_;
  Kept kept_;                         // [in, out]
  std::vector<torch::Tensor> codes_;  // of each group of columns [out, n]
  std::vector<GridParams> params_;
};

Alternation::Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                         const Grid& grid)
    : grid_(grid), slabs_(layer, kept, grid), weight_(layer.weight), hessian_(hessian) {
  if (kept.defined()) kept_ = kept.t().contiguous();
  error_ = torch::empty({weight_.size(1), weight_.size(0)}, weight_.options());
  for (std::int64_t begin = 0; begin < in(); begin += slabs_.width()) {
    const Slab slab = slabs_.cut(weight_, begin);
    params_.push_back(grid.fit(slab));
    codes_.push_back(grid.encode(slab.weight, params_.back()));
    update_errors(slab, begin);
  }
}

void Alternation::update_errors(const Slab& slab, std::int64_t begin) {
  const std::size_t group = group_of(begin);
  torch::Tensor error = grid_.decode(codes_[group], params_[group]) - slab.weight;
  if (slab.kept.defined()) error.masked_fill_(slab.kept, 0);
  error_.narrow(0, begin, error.size(1)).copy_(error.t());
}

/// Better tables, group after group, each given the errors of the others.
void Alternation::refit() {
  for (std::int64_t begin = 0; begin < in(); begin += slabs_.width()) {
    Slab slab = slabs_.cut(weight_, begin);
    const std::int64_t end = begin + slab.weight.size(1);
    const torch::Tensor rows = hessian_.slice(0, begin, end);
    slab.gram = rows.slice(1, begin, end);
    const torch::Tensor pull = rows.slice(1, 0, begin).matmul(error_.slice(0, 0, begin)) +
                               rows.slice(1, end, in()).matmul(error_.slice(0, end, in()));
    grid_.refit(slab, pull.t(), codes_[group_of(begin)], params_[group_of(begin)]);
    update_errors(slab, begin);
  }
}

/// Better codes for every column in turn; whether any changed.
bool Alternation::descend() {
  bool changed = false;
  for (std::int64_t begin = 0; begin < in(); begin += kSlopeChunk) {
    const std::int64_t end = std::min(in(), begin + kSlopeChunk);
    const torch::Tensor slope = hessian_.slice(0, begin, end).matmul(error_);  // H e, its columns
    for (std::int64_t j = begin; j < end; ++j) {
      const torch::Tensor change = choose(j, slope[j - begin]);
      if (!change.any().item<bool>()) continue;
      changed = true;
      error_[j].add_(change);
      slope.slice(0, j + 1 - begin).addr_(hessian_[j].slice(0, j + 1, end), change);
    }
  }
  return changed;
}

/// By how much the values of column j change [out], their codes changed already. An input that was
/// always 0 has no slope and no curvature: nothing is better than what is there.
torch::Tensor Alternation::choose(std::int64_t j, const torch::Tensor& slope) {
  const GridParams& params = params_[group_of(j)];
  torch::Tensor codes = codes_[group_of(j)].narrow(1, j % slabs_.width(), 1);
  const torch::Tensor now = grid_.decode(codes, params);  // [out, 1]
  const torch::Tensor curvature = hessian_[j][j].clamp_min(std::numeric_limits<float>::min());
  const torch::Tensor wanted = now - slope.unsqueeze(1) / curvature;
  const torch::Tensor found = grid_.encode(wanted, params), next = grid_.decode(found, params);
  torch::Tensor better = (next - wanted).abs() < (now - wanted).abs();
  if (kept_.defined()) better &= ~kept_[j].unsqueeze(1);
  codes.copy_(torch::where(better, found, codes));
  return (next - now).mul_(better).squeeze(1);
}

Solution Alternation::solution(const Kept& kept) const {
  return {.codes = torch::cat(codes_, 1), .params = params_, .weight = weight_, .kept = kept};
}

}  // namespace

Solver lnq_solver(Options& options) {
  const std::int64_t rounds = options.integer("rounds", 3, 1, 1000, "tables, then codes");
  const std::int64_t cycles = options.integer("cycles", 4, 1, 1000, "over the columns, a round");
  const HessianChoice hessian = choose_hessian(options);
  Solver solver{.needs = hessian.needs};
  solver.check = [](const Grid& grid) {
    if (!grid.refit)
      fail("solver lnq", "a grid whose values are given", "a grid of tables", "use --grid lut");
  };
  solver.solve = [=](const Layer& layer, const Kept& kept, const Grid& grid) {
    Alternation alternation(layer, hessian.of(layer), kept, grid);
    for (std::int64_t round = 0; round < rounds; ++round) {
      alternation.refit();
      for (std::int64_t cycle = 0; cycle < cycles && alternation.descend(); ++cycle) {
      }
    }
    return alternation.solution(kept);
  };
  return solver;
}

}  // namespace karat
