// grid column-trellis: the weights of a column are coded together, 256 rows at a time, as a path
// through 2^14 to 2^16 states whose values are sums of look-ups
// (format/codec/column-trellis/code.h), 2 to 5 bits a weight. It codes normal numbers with less
// error than a trellis of 2^12 states whose values are hashed, and decodes many times as fast. It
// wants weights that look normal: transform hadamard. Each row has its scale.
#include <map>

#include "core/threads.h"
#include "grid/column-trellis/column.h"
#include "grid/shared/arrays.h"
#include "grid/shared/row_scale.h"

namespace karat {
namespace {

/// The search of a thread, whose memory is expensive to get.
ColumnSearch& search_of(int bits) {
  thread_local std::map<int, ColumnSearch> searches;
  return searches.try_emplace(bits, bits).first->second;
}

/// body(first number, how many) for every segment of every column, [columns, rows] matrices.
void for_segments(std::int64_t columns, std::int64_t rows, const auto& body) {
  const std::int64_t segments = (rows + kSegmentRows - 1) / kSegmentRows;
  parallel_for(columns * segments, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i % segments * kSegmentRows;
      body(i / segments * rows + row, std::min(kSegmentRows, rows - row));
    }
  });
}

torch::Tensor encode(const torch::Tensor& weight, const torch::Tensor& scale, int bits) {
  // With scale 0 every code decodes to 0; dividing by 1 keeps them finite.
  const torch::Tensor x =
      (weight / scale.masked_fill(scale == 0, 1)).t().to(torch::kCPU, torch::kFloat32).contiguous();
  const torch::Tensor codes = torch::empty(x.sizes(), torch::kUInt8);
  const float* from = x.data_ptr<float>();
  auto* to = codes.data_ptr<std::uint8_t>();
  for_segments(x.size(0), x.size(1), [&](std::int64_t first, std::int64_t n) {
    search_of(bits).encode(from + first, n, to + first);
  });
  return codes.t().contiguous().to(weight.device());
}

torch::Tensor decode(const torch::Tensor& codes, const torch::Tensor& scale, int bits) {
  const torch::Tensor columns = codes.t().to(torch::kCPU).contiguous();
  const torch::Tensor values = torch::empty(columns.sizes(), torch::kFloat32);
  const auto* from = columns.data_ptr<std::uint8_t>();
  auto* to = values.data_ptr<float>();
  for_segments(columns.size(0), columns.size(1), [&](std::int64_t first, std::int64_t n) {
    decode_column(bits, from + first, n, to + first);
  });
  return scale * values.t().to(scale.device());
}

Stored store(const std::string& name, const Solution& solution, int bits) {
  return store_row_scaled(name, {.format = "column-trellis", .bits = bits, .group = 0}, solution,
                          decode(solution.codes, solution.params[0][0], bits));
}

}  // namespace

Grid column_trellis_grid(Options& options) {
  const int bits = static_cast<int>(options.integer("bits", 4, 2, 5, "2 to 5 bits a weight"));
  Grid grid{.group = 0, .rows = kSegmentRows};
  // The tables suit rows of deviation 1.
  grid.fit = [](const Slab& slab) { return fit_row_scale(slab, 1); };
  grid.encode = [bits](const auto& weight, const GridParams& params) {
    return encode(weight, params[0], bits);
  };
  grid.decode = [bits](const auto& codes, const GridParams& params) {
    return decode(codes, params[0], bits);
  };
  grid.rescale = rescaled;
  grid.store = [bits](const std::string& name, const Solution& solution) {
    return store(name, solution, bits);
  };
  return grid;
}

}  // namespace karat
