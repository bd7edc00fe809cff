#include "solver/lnq/table_codes.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "core/platform.h"
#include "core/threads.h"

namespace karat {
namespace {

constexpr std::int64_t kTogether = 128;  // columns of which all rows are done before the next
constexpr std::int64_t kGrain = 16;      // rows

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

template <class T>
std::span<T> row_of(const torch::Tensor& matrix, std::int64_t row) {
  const std::int64_t n = matrix.size(1);
  return {matrix.data_ptr<std::remove_const_t<T>>() + row * n, static_cast<std::size_t>(n)};
}

torch::Tensor half_gaps(const torch::Tensor& tables) {
  const auto [sorted, order] = tables.sort(1);
  const torch::Tensor gaps = (sorted.slice(1, 1) - sorted.slice(1, 0, -1)) / 2;
  const torch::Tensor end =
      torch::full({tables.size(0), 1}, std::numeric_limits<float>::infinity());
  const torch::Tensor least =
      torch::minimum(torch::cat({end, gaps}, 1), torch::cat({gaps, end}, 1));
  return torch::empty_like(tables).scatter_(1, order, least);
}

/// 1/Hⱼⱼ, and of an input that was always 0 what is finite: it has no slope either.
std::vector<float> inverse_diagonal(const torch::Tensor& hessian) {
  const torch::Tensor diagonal = hessian.diagonal().contiguous();
  std::vector<float> inverse;
  for (std::int64_t j = 0; j < diagonal.numel(); ++j)
    inverse.push_back(1 /
                      std::max(diagonal.data_ptr<float>()[j], std::numeric_limits<float>::min()));
  return inverse;
}

}  // namespace

TableCodes::TableCodes(std::int64_t out, std::int64_t in, std::int64_t width, const Kept& kept)
    : in_(in),
      width_(width),
      codes_(torch::empty({out, in}, torch::kUInt8)),
      tables_(group_of(in - 1) + 1) {
  if (kept.defined()) fixed_ = kept.to(torch::kCPU, torch::kUInt8).contiguous();
}

void TableCodes::set(std::int64_t begin, const torch::Tensor& codes, const torch::Tensor& tables) {
  codes_.slice(1, begin, begin + codes.size(1)).copy_(codes);
  const torch::Tensor values = tables.to(torch::kCPU).contiguous();
  tables_[group_of(begin)] = {values, half_gaps(values)};
}

torch::Tensor TableCodes::values(std::int64_t begin, std::int64_t end) const {
  torch::Tensor values = torch::empty({codes_.size(0), end - begin});
  const torch::Tensor& tables = tables_[group_of(begin)].values;
  parallel_for(values.size(0), kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const auto codes = row_of<const std::uint8_t>(codes_, row).subspan(begin, end - begin);
      std::ranges::transform(
          codes, row_of<float>(values, row).begin(),
          [table = row_of<const float>(tables, row)](std::uint8_t code) { return table[code]; });
    }
  });
  if (fixed_.defined()) values.masked_fill_(fixed_.slice(1, begin, end).to(torch::kBool), 0);
  return values;
}

bool TableCodes::descend(const torch::Tensor& hessian, torch::Tensor& slope) {
  const Curvature curvature{hessian, inverse_diagonal(hessian)};
  std::atomic<bool> changed = false;
  for (std::int64_t begin = 0; begin < in_; begin += kTogether) {
    const std::int64_t end = std::min(in_, begin + kTogether);
    parallel_for(codes_.size(0), kGrain, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row)
        if (descend(curvature, row, row_of<float>(slope, row), begin, end)) changed = true;
    });
  }
  return changed;
}

/// Columns [begin, end) of a row. Few codes change, so each brings the row's slopes up to date
/// itself: less work than a matrix product.
bool TableCodes::descend(const Curvature& curvature, std::int64_t row, std::span<float> slope,
                         std::int64_t begin, std::int64_t end) {
  const auto add_scaled = twin_for_cpu(add_scaled_16, add_scaled_8, add_scaled_4);
  std::uint8_t* codes = row_of<std::uint8_t>(codes_, row).data();
  const std::uint8_t* fixed =
      fixed_.defined() ? row_of<const std::uint8_t>(fixed_, row).data() : nullptr;
  std::size_t group = tables_.size();
  std::span<const float> table, reach;
  bool changed = false;
  for (std::int64_t j = begin; j < end; ++j) {
    if (fixed != nullptr && fixed[j]) continue;
    if (group != group_of(j)) {
      group = group_of(j);
      table = row_of<const float>(tables_[group].values, row);
      reach = row_of<const float>(tables_[group].reach, row);
    }
    const auto at = static_cast<std::size_t>(j);
    const float step = -slope[at] * curvature.inverse[at];
    if (std::abs(step) <= reach[codes[j]]) continue;
    const float now = table[codes[j]], wanted = now + step;
    const std::size_t found = nearest(table, wanted);
    if (!(std::abs(table[found] - wanted) < std::abs(now - wanted))) continue;
    changed = true;
    codes[j] = static_cast<std::uint8_t>(found);
    add_scaled(table[found] - now, row_of<const float>(curvature.hessian, j).data(), slope.data(),
               in_);
  }
  return changed;
}

}  // namespace karat
