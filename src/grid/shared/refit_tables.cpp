#include "grid/shared/refit_tables.h"

namespace karat {
namespace {

constexpr std::int64_t kElements = 1 << 22;  // of a temporary

/// Rows of some codes P [rows, size, n], P = 1 where the code stands for the value: with e = Pᵀd
/// more than before, the error changes by dᵀ(P G Pᵀ)d + 2 dᵀP(G e + pull). The least d is added.
torch::Tensor better_tables(const Slab& slab, const torch::Tensor& pull, const torch::Tensor& codes,
                            const torch::Tensor& tables) {
  constexpr double kRidge = 1e-7;
  const std::int64_t rows = tables.size(0), size = tables.size(1), n = codes.size(1);
  torch::Tensor chosen =
      codes.to(torch::kInt64).unsqueeze(1) == torch::arange(size).view({1, size, 1});
  if (slab.kept.defined()) chosen &= ~slab.kept.unsqueeze(1);
  const torch::Tensor p = chosen.to(torch::kFloat32);
  torch::Tensor error = tables.gather(1, codes.to(torch::kInt64)) - slab.weight;
  if (slab.kept.defined()) error.masked_fill_(slab.kept, 0);
  const torch::Tensor slope = p.matmul((error.matmul(slab.gram) + pull).unsqueeze(2));
  const torch::Tensor moved = p.view({-1, n}).matmul(slab.gram).view({rows, size, n});
  const torch::Tensor curvature = moved.matmul(p.transpose(1, 2)).to(torch::kFloat64);
  torch::Tensor ridged = curvature.clone(), diagonal = ridged.diagonal(0, 1, 2);
  diagonal.add_(kRidge * diagonal.mean(1, /*keepdim=*/true));
  diagonal.masked_fill_(diagonal == 0, 1);
  const torch::Tensor step = -torch::linalg_solve(ridged, slope.to(torch::kFloat64));
  const torch::Tensor next = (tables + step.squeeze(2)).to(torch::kFloat16).to(torch::kFloat32);
  const torch::Tensor taken = (next - tables).to(torch::kFloat64).unsqueeze(2);
  const torch::Tensor change = (taken * (curvature.matmul(taken) + 2 * slope)).sum(1);
  return torch::where(change < 0, next, tables);
}

}  // namespace

void refit_tables(const Slab& slab, const torch::Tensor& pull, torch::Tensor& codes,
                  torch::Tensor& tables) {
  const std::int64_t rows = tables.size(0);
  const std::int64_t piece =
      std::max<std::int64_t>(1, kElements / (tables.size(1) * codes.size(1)));
  std::vector<torch::Tensor> parts;
  for (std::int64_t first = 0; first < rows; first += piece) {
    const auto cut = [&](const torch::Tensor& x) { return x.slice(0, first, first + piece); };
    const Slab part{.weight = cut(slab.weight),
                    .kept = slab.kept.defined() ? cut(slab.kept) : slab.kept,
                    .gram = slab.gram};
    parts.push_back(better_tables(part, cut(pull), cut(codes), cut(tables)));
  }
  const auto [sorted, order] = torch::cat(parts).sort(/*stable=*/true, 1, /*descending=*/false);
  const torch::Tensor rank = order.argsort(/*dim=*/std::int64_t{1}, /*descending=*/false);
  codes = rank.gather(1, codes.to(torch::kInt64)).to(codes.scalar_type());
  tables = sorted;
}

}  // namespace karat
