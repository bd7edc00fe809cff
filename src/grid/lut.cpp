// grid lut: a table of 2^bits FP16 values per row (or per row and group), placed by weighted
// k-means as in SqueezeLLM (arXiv 2306.07629). Exact, not Lloyd's: on a line that is affordable.
#include <algorithm>

#include "core/threads.h"
#include "grid/shared/cost.h"
#include "grid/shared/kmeans.h"
#include "grid/shared/refit_tables.h"
#include "grid/shared/rows.h"
#include "grid/shared/store.h"

namespace karat {
namespace {

/// The table of one row; `pairs` is room to work in.
void fit_table(std::span<const float> weight, std::span<const float> cost,
               std::vector<std::pair<float, float>>& pairs, std::span<float> table) {
  pairs.clear();
  for (std::size_t i = 0; i < weight.size(); ++i) pairs.emplace_back(weight[i], cost[i]);
  std::ranges::sort(pairs);
  std::vector<float> points, costs;
  for (const auto& [w, c] : pairs) points.push_back(w), costs.push_back(c);
  std::ranges::copy(kmeans(points, costs, static_cast<int>(table.size())), table.begin());
}

torch::Tensor fit_tables(const Slab& slab, std::int64_t size) {
  constexpr std::int64_t kGrain = 8;
  const Rows<float> weight(slab.weight), cost(costs_of(slab));
  torch::Tensor tables = torch::empty({slab.weight.size(0), size}, torch::kFloat32);
  parallel_for(tables.size(0), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::pair<float, float>> pairs;
    for (std::int64_t row = begin; row < end; ++row)
      fit_table(weight[row], cost[row], pairs,
                {tables.data_ptr<float>() + row * size, static_cast<std::size_t>(size)});
  });
  return tables.to(torch::kFloat16).to(torch::kFloat32).to(slab.weight.device());
}

torch::Tensor encode(const torch::Tensor& weight, const torch::Tensor& tables) {
  const torch::Tensor middles = (tables.slice(1, 1) + tables.slice(1, 0, -1)) / 2;
  return torch::searchsorted(middles.contiguous(), weight.contiguous(), /*out_int32=*/true)
      .to(torch::kUInt8);
}

torch::Tensor decode(const torch::Tensor& codes, const torch::Tensor& tables) {
  return tables.gather(1, codes.to(torch::kInt64));
}

Stored store(const std::string& name, const Solution& solution, const PackedLayout& layout) {
  PackedMatrix matrix = with_codes(solution, layout);
  matrix.tables = half_bits(gather(solution.params, 0));  // [out, groups, 2^bits]
  torch::Tensor decoded = decode_groups(
      solution, layout.group_size(matrix.in),
      [](const auto& codes, const GridParams& params) { return decode(codes, params[0]); });
  finish(solution, matrix, decoded);
  return {matrix.layout, pack(name, matrix), decoded};
}

}  // namespace

Grid lut_grid(Options& options) {
  PackedLayout layout;
  layout.format = "lut";
  layout.bits = static_cast<int>(options.integer("bits", 4, 2, 4, "2, 3 or 4 bits a code"));
  layout.group = options.integer("group", 0, 0, 65536, "inputs that share a table; 0: a row");
  const Cost cost = choose_cost(options, "equal");
  Grid grid{.group = layout.group, .needs = cost.needs, .cost = cost.of};
  grid.fit = [size = 1 << layout.bits](const Slab& slab) -> GridParams {
    return {fit_tables(slab, size)};
  };
  grid.encode = [](const auto& weight, const GridParams& params) {
    return encode(weight, params[0]);
  };
  grid.decode = [](const auto& codes, const GridParams& params) {
    return decode(codes, params[0]);
  };
  grid.store = [layout](const std::string& name, const Solution& solution) {
    return store(name, solution, layout);
  };
  grid.refit = [](const Slab& slab, const torch::Tensor& slope, torch::Tensor& codes,
                  GridParams& params) { refit_tables(slab, slope, codes, params[0]); };
  return grid;
}

}  // namespace karat
