#include "grid/shared/refit_tables.h"

#include <algorithm>

#include "core/threads.h"
#include "grid/shared/pair_sums.h"
#include "grid/shared/rows.h"

namespace karat {
namespace {

constexpr std::int64_t kRefitGrain = 16;  // rows

/// [rows, size, 1] F64: Σ of the slopes of each code's inputs. An input of code `size` is no one's.
torch::Tensor sum_slopes(const torch::Tensor& slope, const torch::Tensor& codes,
                         std::int64_t size) {
  const Rows<float> slopes(slope);
  torch::Tensor sums = torch::zeros({codes.size(0), size + 1}, torch::kFloat64);
  parallel_for(codes.size(0), kRefitGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const std::uint8_t* of = codes.data_ptr<std::uint8_t>() + row * codes.size(1);
      double* sum = sums.data_ptr<double>() + row * (size + 1);
      for (const float x : slopes[row]) sum[*of++] += x;
    }
  });
  return sums.slice(1, 0, size).unsqueeze(2);
}

/// For codes P [rows, size, n], P = 1 where the code stands for the value: with values d
/// more than before, the error changes by dᵀ(P G Pᵀ)d + 2 dᵀP·slope. The least d is added.
torch::Tensor better_tables(const Slab& slab, const torch::Tensor& slope,
                            const torch::Tensor& codes, const torch::Tensor& tables) {
  constexpr double kRidge = 1e-7;
  const std::int64_t size = tables.size(1);
  const torch::Tensor held =
      slab.kept.defined() ? codes.masked_fill(slab.kept.to(torch::kCPU), size) : codes;
  const torch::Tensor pull = sum_slopes(slope, held, size);
  const torch::Tensor curvature = pair_sums(slab.gram.to(torch::kCPU), held, size);
  torch::Tensor ridged = curvature.clone(), diagonal = ridged.diagonal(0, 1, 2);
  diagonal.add_(kRidge * diagonal.mean(1, /*keepdim=*/true));
  diagonal.masked_fill_(diagonal == 0, 1);
  const torch::Tensor step = -torch::linalg_solve(ridged, pull);
  const torch::Tensor next = (tables + step.squeeze(2)).to(torch::kFloat16).to(torch::kFloat32);
  const torch::Tensor taken = (next - tables).to(torch::kFloat64).unsqueeze(2);
  const torch::Tensor change = (taken * (curvature.matmul(taken) + 2 * pull)).sum(1);
  return torch::where(change < 0, next, tables);
}

/// rank[codes], row by row.
torch::Tensor renumbered(const torch::Tensor& codes, const torch::Tensor& rank) {
  const Rows<std::int64_t> ranks(rank);
  const Rows<std::uint8_t> before(codes);
  torch::Tensor after = torch::empty_like(codes);
  parallel_for(codes.size(0), kRefitGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row)
      std::ranges::transform(
          before[row], after.data_ptr<std::uint8_t>() + row * codes.size(1),
          [rank = ranks[row]](std::uint8_t code) { return static_cast<std::uint8_t>(rank[code]); });
  });
  return after;
}

}  // namespace

void refit_tables(const Slab& slab, const torch::Tensor& slope, torch::Tensor& codes,
                  torch::Tensor& tables) {
  const torch::Tensor held = codes.to(torch::kCPU).contiguous();
  const torch::Tensor better = better_tables(slab, slope, held, tables.to(torch::kCPU));
  const auto [sorted, order] = better.sort(/*stable=*/true, 1, /*descending=*/false);
  codes = renumbered(held, order.argsort(/*dim=*/std::int64_t{1}, /*descending=*/false))
              .to(codes.device());
  tables = sorted.to(tables.device());
}

}  // namespace karat
