// solver lnq: for grids of lookup tables, tables and codes alternately (LNQ, GuidedQuant, arXiv
// 2505.07004): tables by least squares for the codes at hand, then codes column after column, each
// weight taking the value that best suits the errors of all the others. The layer's error, Σ over
// rows of eᵀHe, never rises. The grid's own fit is the start.
#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"
#include "solver/lnq/table_codes.h"

namespace karat {
namespace {

/// One run over a layer. Codes, tables and slopes lie in the CPU's memory, the rest where the layer
/// does.
class Alternation {
 public:
  Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept, const Grid& grid);
  void refit();
  bool descend() { return codes_.descend(rows_, slope_); }
  Solution solution() const;

 private:
  void add_to_slopes(const torch::Tensor& change, std::int64_t begin);

  const Grid& grid_;
  const Slabs slabs_;
  const Kept kept_;
  torch::Tensor weight_, hessian_;
  torch::Tensor slope_, rows_;  // H(ŵ − w) [out, in] of what is at hand, and H
  TableCodes codes_;
  std::vector<GridParams> params_;  // of each group of columns
};

Alternation::Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                         const Grid& grid)
    : grid_(grid),
      slabs_(layer, kept, grid),
      kept_(kept),
      weight_(layer.weight),
      hessian_(hessian),
      slope_(torch::zeros(weight_.sizes(), torch::kFloat32)),
      rows_(hessian.to(torch::kCPU).contiguous()),
      codes_(weight_.size(0), weight_.size(1), slabs_.width(), kept) {
  for (std::int64_t begin = 0; begin < weight_.size(1); begin += slabs_.width()) {
    const Slab slab = slabs_.cut(weight_, begin);
    params_.push_back(grid.fit(slab));
    codes_.set(begin, grid.encode(slab.weight, params_.back()), params_.back()[0]);
    torch::Tensor weight = slab.weight;
    if (slab.kept.defined()) weight = weight.masked_fill(slab.kept, 0);
    const std::int64_t end = begin + weight.size(1);
    add_to_slopes(codes_.values(begin, end) - weight.to(torch::kCPU), begin);
  }
}

/// Once the weights of a group have changed by `change`.
void Alternation::add_to_slopes(const torch::Tensor& change, std::int64_t begin) {
  const torch::Tensor rows = hessian_.slice(0, begin, begin + change.size(1));
  slope_.add_(change.to(rows.device()).matmul(rows).to(torch::kCPU));
}

/// Better tables, group after group, each given the errors of all.
void Alternation::refit() {
  std::int64_t begin = 0;
  for (GridParams& params : params_) {
    Slab slab = slabs_.cut(weight_, begin);
    const std::int64_t end = begin + slab.weight.size(1);
    slab.gram = hessian_.slice(0, begin, end).slice(1, begin, end);
    const torch::Tensor before = codes_.values(begin, end);
    torch::Tensor codes = codes_.codes().slice(1, begin, end).to(weight_.device());
    grid_.refit(slab, slope_.slice(1, begin, end), codes, params);
    codes_.set(begin, codes, params[0]);
    add_to_slopes(codes_.values(begin, end) - before, begin);
    begin = end;
  }
}

Solution Alternation::solution() const {
  return {.codes = codes_.codes().to(weight_.device()),
          .params = params_,
          .weight = weight_,
          .kept = kept_};
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
    return alternation.solution();
  };
  return solver;
}

}  // namespace karat
