#include "grid/shared/refit_tables.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "core/platform.h"
#include "core/threads.h"

namespace karat {
namespace {

constexpr std::int64_t kElements = 1 << 22;  // of a temporary
constexpr std::int64_t kTile = 32;           // columns of the Gram matrix that are added at once
constexpr std::int64_t kGrain = 8;           // rows

/// Inputs [rows, n] in the order of their codes; an input of code `size`, kept, is no table's.
class Inputs {
 public:
  Inputs(const torch::Tensor& codes, std::int64_t size);
  /// The inputs in [begin, end) whose code is `code`.
  std::span<const std::int32_t> of(std::int64_t row, std::int64_t code, std::int64_t begin,
                                   std::int64_t end) const;

 private:
  std::int64_t n_, size_;
  std::vector<std::int32_t> order_, starts_;  // [rows, n], [rows, size + 2]
};

Inputs::Inputs(const torch::Tensor& codes, std::int64_t size)
    : n_(codes.size(1)),
      size_(size),
      order_(static_cast<std::size_t>(codes.numel())),
      starts_(static_cast<std::size_t>(codes.size(0) * (size + 2))) {
  parallel_for(codes.size(0), kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const std::uint8_t* of = codes.data_ptr<std::uint8_t>() + row * n_;
      std::int32_t* order = order_.data() + row * n_;
      std::int32_t* starts = starts_.data() + row * (size_ + 2);
      for (std::int64_t i = 0; i < n_; ++i) ++starts[of[i] + 1];
      for (std::int64_t code = 0; code <= size_; ++code) starts[code + 1] += starts[code];
      std::vector<std::int32_t> next(starts, starts + size_ + 1);
      for (std::int64_t i = 0; i < n_; ++i) order[next[of[i]]++] = static_cast<std::int32_t>(i);
    }
  });
}

std::span<const std::int32_t> Inputs::of(std::int64_t row, std::int64_t code, std::int64_t begin,
                                         std::int64_t end) const {
  const std::int32_t* order = order_.data() + row * n_;
  const std::int32_t* starts = starts_.data() + row * (size_ + 2) + code;
  const auto first = std::lower_bound(order + starts[0], order + starts[1], begin);
  return {first, std::lower_bound(first, order + starts[1], end)};
}

using Sum = std::array<float, kTile>;

/// Σ over `inputs` of rows of a tile [n, kTile], `lanes` numbers a register.
template <int lanes>
[[gnu::always_inline]] inline void sum_rows(const float* tile, std::span<const std::int32_t> inputs,
                                            Sum& sum) {
  using Lanes [[gnu::vector_size(4 * lanes)]] = float;
  Lanes sums[kTile / lanes] = {};
  for (const std::int32_t i : inputs)
    for (std::int64_t k = 0; k < kTile / lanes; ++k) {
      Lanes x;
      std::memcpy(&x, tile + i * kTile + lanes * k, sizeof x);
      sums[k] += x;
    }
  std::memcpy(sum.data(), sums, sizeof sums);
}

KARAT_FOR_AVX512 void sum_rows_16(const float* tile, std::span<const std::int32_t> inputs,
                                  Sum& sum) {
  sum_rows<16>(tile, inputs, sum);
}
KARAT_FOR_AVX2 void sum_rows_8(const float* tile, std::span<const std::int32_t> inputs, Sum& sum) {
  sum_rows<8>(tile, inputs, sum);
}
void sum_rows_4(const float* tile, std::span<const std::int32_t> inputs, Sum& sum) {
  sum_rows<4>(tile, inputs, sum);
}

/// [rows, size, size] F64: Σ of gram over the pairs of inputs of codes a and b, P gram Pᵀ. Columns
/// are taken in tiles, and of each only what lies above the tile's end: gram is symmetric.
torch::Tensor sum_pairs(const torch::Tensor& gram, const torch::Tensor& codes, std::int64_t size) {
  const std::int64_t rows = codes.size(0), n = codes.size(1);
  const Inputs inputs(codes, size);
  const auto sum_rows = twin_for_cpu(sum_rows_16, sum_rows_8, sum_rows_4);
  torch::Tensor sums = torch::zeros({rows, size, size + 1}, torch::kFloat64);
  torch::Tensor tile = torch::zeros({n, kTile});
  const float* cells = tile.data_ptr<float>();
  for (std::int64_t begin = 0; begin < n; begin += kTile) {
    const std::int64_t end = std::min(n, begin + kTile);
    tile.slice(1, 0, end - begin).copy_(gram.slice(1, begin, end));
    parallel_for(rows, kGrain, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row)
        for (std::int64_t code = 0; code < size; ++code) {
          Sum before, inside;
          sum_rows(cells, inputs.of(row, code, 0, begin), before);
          sum_rows(cells, inputs.of(row, code, begin, end), inside);
          const std::uint8_t* other = codes.data_ptr<std::uint8_t>() + row * n + begin;
          double* sum = sums.data_ptr<double>() + (row * size + code) * (size + 1);
          for (std::int64_t j = 0; j < end - begin; ++j)
            sum[other[j]] += 2.0 * before[j] + inside[j];
        }
    });
  }
  const torch::Tensor half = sums.slice(2, 0, size) / 2;
  return half + half.transpose(1, 2);
}

/// Rows of some codes P [rows, size, n], P = 1 where the code stands for the value: with e = Pᵀd
/// more than before, the error changes by dᵀ(P G Pᵀ)d + 2 dᵀP(G e + pull). The least d is added.
torch::Tensor better_tables(const Slab& slab, const torch::Tensor& pull, const torch::Tensor& codes,
                            const torch::Tensor& tables) {
  constexpr double kRidge = 1e-7;
  const std::int64_t size = tables.size(1);
  const torch::Tensor index = codes.to(torch::kInt64);
  torch::Tensor error = tables.gather(1, index) - slab.weight, held = codes.to(torch::kUInt8);
  if (slab.kept.defined()) {
    error.masked_fill_(slab.kept, 0);
    held = held.masked_fill(slab.kept, size);
  }
  torch::Tensor pulls = error.matmul(slab.gram) + pull;
  if (slab.kept.defined()) pulls.masked_fill_(slab.kept, 0);
  const torch::Tensor slope = torch::zeros_like(tables).scatter_add_(1, index, pulls).unsqueeze(2);
  const torch::Tensor curvature =
      sum_pairs(slab.gram.to(torch::kCPU), held.to(torch::kCPU).contiguous(), size)
          .to(tables.device());
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
  const std::int64_t piece = std::max<std::int64_t>(1, kElements / codes.size(1));
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
