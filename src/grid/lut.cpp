// grid lut: a table of 2^bits FP16 values per row (or per row and group), placed by weighted
// k-means as in SqueezeLLM (arXiv 2306.07629). Exact, not Lloyd's: on a line that is affordable.
#include <numeric>

#include "grid/shared/arrays.h"
#include "grid/shared/cost.h"
#include "grid/shared/kmeans.h"

namespace karat {
namespace {

torch::Tensor fit_tables(const Slab& slab, int size) {
  const torch::Tensor weight = slab.weight.contiguous(), costs = costs_of(slab).contiguous();
  const std::int64_t rows = weight.size(0), n = weight.size(1);
  torch::Tensor tables = torch::empty({rows, size}, weight.options());
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::vector<float> points(order.size()), weights(order.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* w = weight.data_ptr<float>() + row * n;
    const float* c = costs.data_ptr<float>() + row * n;
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](auto a, auto b) { return w[a] != w[b] ? w[a] < w[b] : a < b; });
    for (std::size_t i = 0; i < order.size(); ++i) {
      points[i] = w[order[i]];
      weights[i] = c[order[i]];
    }
    const std::vector<float> centres = kmeans(points, weights, size);
    std::copy(centres.begin(), centres.end(), tables.data_ptr<float>() + row * size);
  }
  return tables.to(torch::kFloat16).to(torch::kFloat32);
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
  PackedMatrix matrix;
  matrix.layout = layout;
  matrix.out = solution.codes.size(0);
  matrix.in = solution.codes.size(1);
  matrix.codes = to_vector<std::uint8_t>(solution.codes);
  std::vector<torch::Tensor> tables, parts;
  for (const torch::Tensor& codes : solution.codes.split(layout.group_size(matrix.in), 1)) {
    tables.push_back(solution.params[tables.size()][0]);
    parts.push_back(decode(codes, tables.back()));
  }
  matrix.tables = half_bits(torch::stack(tables, 1));  // [out, groups, 2^bits]
  torch::Tensor decoded = torch::cat(parts, 1);
  finish(solution, matrix, decoded);
  return {matrix.layout, pack(name, matrix), decoded};
}

}  // namespace

Grid lut_grid(Options& options) {
  PackedLayout layout;
  layout.codebook = Codebook::lut;
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
  return grid;
}

}  // namespace karat
