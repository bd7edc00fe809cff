// solver lnq: for grids of lookup tables, tables and codes by turns (LNQ, GuidedQuant, arXiv
// 2505.07004): tables by least squares for the codes at hand, then codes column after column, each
// weight taking the value that best suits the errors of all the others. The layer's error, Σ over
// rows of eᵀHe, never rises. The grid's own fit is the start.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <span>

#include "core/platform.h"
#include "core/threads.h"
#include "karat/error.h"
#include "recipe/hessian.h"
#include "recipe/slab.h"

namespace karat {
namespace {

constexpr std::int64_t kTogether = 128;  // columns of which all rows are done before the next

KARAT_FOR_AVX512 void add_scaled_16(float a, const float* __restrict x, float* __restrict y,
                                    std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}
KARAT_FOR_AVX2 void add_scaled_8(float a, const float* __restrict x, float* __restrict y,
                                 std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}
void add_scaled_4(float a, const float* __restrict x, float* __restrict y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

/// The value of a table that is nearest to x.
std::size_t nearest(std::span<const float> table, float x) {
  std::size_t best = 0;
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t code = 0; code < table.size(); ++code) {
    const float distance = std::abs(table[code] - x);
    if (distance < least) best = code;
    least = std::min(least, distance);
  }
  return best;
}

/// One run over a layer. Tables and codes lie in the CPU's memory, the rest where the layer does.
class Alternation {
 public:
  Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept, const Grid& grid);
  void refit();
  bool descend();
  Solution solution() const;

 private:
  std::int64_t in() const { return weight_.size(1); }
  std::size_t group_of(std::int64_t j) const {
    return static_cast<std::size_t>(j / slabs_.width());
  }
  void update_errors(const Slab& slab, std::int64_t begin);
  bool descend(std::int64_t row, std::int64_t begin, std::int64_t end);

  const Grid& grid_;
  const Slabs slabs_;
  const Kept kept_;
  torch::Tensor weight_, hessian_, error_;  // error_ [out, in]: ŵ − w, 0 where kept, by refit
  torch::Tensor slope_, rows_;              // H e [out, in] of the codes at hand, and H
  torch::Tensor codes_, fixed_;             // [out, in] bytes: codes, and whether kept
  std::vector<GridParams> params_;          // of each group of columns
  std::vector<torch::Tensor> tables_;       // theirs [out, values]
};

Alternation::Alternation(const Layer& layer, const torch::Tensor& hessian, const Kept& kept,
                         const Grid& grid)
    : grid_(grid),
      slabs_(layer, kept, grid),
      kept_(kept),
      weight_(layer.weight),
      hessian_(hessian),
      error_(torch::empty_like(weight_, torch::MemoryFormat::Contiguous)),
      codes_(torch::empty(weight_.sizes(), torch::kUInt8)) {
  rows_ = hessian.to(torch::kCPU).contiguous();
  if (kept.defined()) fixed_ = kept.to(torch::kCPU, torch::kUInt8).contiguous();
  for (std::int64_t begin = 0; begin < in(); begin += slabs_.width()) {
    const Slab slab = slabs_.cut(weight_, begin);
    params_.push_back(grid.fit(slab));
    tables_.emplace_back();
    codes_.slice(1, begin, begin + slab.weight.size(1))
        .copy_(grid.encode(slab.weight, params_.back()));
  }
}

void Alternation::update_errors(const Slab& slab, std::int64_t begin) {
  const GridParams& params = params_[group_of(begin)];
  const std::int64_t end = begin + slab.weight.size(1);
  const torch::Tensor codes = codes_.slice(1, begin, end).to(weight_.device());
  torch::Tensor error = grid_.decode(codes, params) - slab.weight;
  if (slab.kept.defined()) error.masked_fill_(slab.kept, 0);
  error_.slice(1, begin, end).copy_(error);
  tables_[group_of(begin)] = params[0].to(torch::kCPU).contiguous();
}

/// Better tables, group after group, each given the errors of the others.
void Alternation::refit() {
  for (std::int64_t begin = 0; begin < in(); begin += slabs_.width())
    update_errors(slabs_.cut(weight_, begin), begin);
  for (std::int64_t begin = 0; begin < in(); begin += slabs_.width()) {
    Slab slab = slabs_.cut(weight_, begin);
    const std::int64_t end = begin + slab.weight.size(1);
    const torch::Tensor columns = hessian_.slice(1, begin, end);
    slab.gram = columns.slice(0, begin, end);
    const torch::Tensor pull = error_.slice(1, 0, begin).matmul(columns.slice(0, 0, begin)) +
                               error_.slice(1, end, in()).matmul(columns.slice(0, end, in()));
    torch::Tensor codes = codes_.slice(1, begin, end).to(weight_.device());
    grid_.refit(slab, pull, codes, params_[group_of(begin)]);
    codes_.slice(1, begin, end).copy_(codes);
    update_errors(slab, begin);
  }
  slope_ = error_.matmul(hessian_).to(torch::kCPU).contiguous();
}

/// Better codes for every column in turn; whether any changed.
bool Alternation::descend() {
  constexpr std::int64_t kGrain = 16;
  std::atomic<bool> changed = false;
  for (std::int64_t begin = 0; begin < in(); begin += kTogether) {
    const std::int64_t end = std::min(in(), begin + kTogether);
    parallel_for(weight_.size(0), kGrain, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row)
        if (descend(row, begin, end)) changed = true;
    });
  }
  return changed;
}

/// Columns [begin, end) of a row. Few codes change, so each brings the row's slopes up to date
/// itself: less work than a matrix product. An input that was always 0 has no slope and no
/// curvature: nothing is better than what is there.
bool Alternation::descend(std::int64_t row, std::int64_t begin, std::int64_t end) {
  const auto add_scaled = twin_for_cpu(add_scaled_16, add_scaled_8, add_scaled_4);
  float* slope = slope_.data_ptr<float>() + row * in();
  std::uint8_t* codes = codes_.data_ptr<std::uint8_t>() + row * in();
  const std::uint8_t* fixed =
      fixed_.defined() ? fixed_.data_ptr<std::uint8_t>() + row * in() : nullptr;
  const float* hessian = rows_.data_ptr<float>();
  std::size_t group = params_.size();
  std::span<const float> table;
  bool changed = false;
  for (std::int64_t j = begin; j < end; ++j) {
    if (fixed != nullptr && fixed[j]) continue;
    if (group != group_of(j)) {
      group = group_of(j);
      const torch::Tensor& tables = tables_[group];
      table = {tables.data_ptr<float>() + row * tables.size(1),
               static_cast<std::size_t>(tables.size(1))};
    }
    const float* moved = hessian + j * in();  // slopes, by a change of 1
    const float now = table[codes[j]];
    const float wanted = now - slope[j] / std::max(moved[j], std::numeric_limits<float>::min());
    const std::size_t found = nearest(table, wanted);
    if (!(std::abs(table[found] - wanted) < std::abs(now - wanted))) continue;
    changed = true;
    codes[j] = static_cast<std::uint8_t>(found);
    add_scaled(table[found] - now, moved, slope, in());
  }
  return changed;
}

Solution Alternation::solution() const {
  return {
      .codes = codes_.to(weight_.device()), .params = params_, .weight = weight_, .kept = kept_};
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
