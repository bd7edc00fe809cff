// grid uniform: ŵ = scale·(code − zero) with evenly spaced codes and a real-valued zero, fitted by
// min-max. Statistics are FP16, or two-level as in SpQR (arXiv 2306.03078): 3-bit scales and zeros
// over 16 rows. Codes are always computed with the statistics as stored.
#include "grid/uniform.h"

#include <limits>

#include "karat/error.h"

namespace karat {
namespace {

constexpr double kSmallestHalf = 0x1p-24;
// |zero| stays below this even when the scale is rounded to a subnormal, so it never overflows
// FP16.
constexpr double kLargestZero = 32768;

int steps(int bits) {
  return (1 << bits) - 1;
}
torch::Tensor through_half(const torch::Tensor& x) {
  return x.to(torch::kFloat16).to(torch::kFloat32);
}

/// {scale, zero}, rounded to FP16. The zero follows the rounded scale, so `low` stays on the grid.
GridParams fit_plain(const torch::Tensor& weight, const Kept& kept, int bits) {
  const auto [low, scale] = min_max(weight, kept, bits);
  const torch::Tensor stored =
      through_half(torch::where(scale > 0, scale.clamp_min(kSmallestHalf), scale));
  return {stored, through_half(real_zero(low, stored))};
}

GridParams fit_symmetric(const torch::Tensor& weight, const Kept& kept, int bits) {
  const torch::Tensor magnitude = kept.defined() ? weight.masked_fill(kept, 0).abs() : weight.abs();
  const torch::Tensor scale = magnitude.amax(1, /*keepdim=*/true) / ((1 << (bits - 1)) - 1);
  return {through_half(scale), torch::full_like(scale, 1 << (bits - 1))};
}

/// Rounds one statistic [out, 1] to 3 bits over 16 rows: {decoded [out, 1], codes [out, 1], FP16
/// {scale, zero} [ceil(out/16), 2]}. Rows in `absent` [out, 1] and the padding do not count.
std::vector<torch::Tensor> second_level(const torch::Tensor& statistic,
                                        const torch::Tensor& absent) {
  const std::int64_t out = statistic.size(0);
  const std::int64_t padding = (kBilevelRows - out % kBilevelRows) % kBilevelRows;
  const auto tiled = [&](const torch::Tensor& x, double value) {
    return torch::constant_pad_nd(x, {0, 0, 0, padding}, value).view({-1, kBilevelRows});
  };
  const torch::Tensor tiles = tiled(statistic, 0);
  const GridParams level = fit_plain(tiles, tiled(absent, 1), kBilevelBits);
  const torch::Tensor codes = uniform_encode(tiles, level[0], level[1], kBilevelBits);
  const auto rows = [&](const torch::Tensor& x) { return x.view({-1, 1}).narrow(0, 0, out); };
  return {rows(uniform_decode(codes, level[0], level[1])), rows(codes), torch::cat(level, 1)};
}

/// {scale, zero, scale codes, zero codes, scale statistics, zero statistics}.
GridParams fit_bilevel(const torch::Tensor& weight, const Kept& kept, int bits) {
  const auto [low, scale] = min_max(weight, kept, bits);
  const torch::Tensor absent =
      kept.defined() ? kept.all(1, /*keepdim=*/true) : torch::zeros_like(low, torch::kBool);
  const auto scales = second_level(scale, absent);
  const auto zeros = second_level(real_zero(low, scale), absent);
  return {scales[0], zeros[0], scales[1], zeros[1], scales[2], zeros[2]};
}

template <class T>
std::vector<T> to_vector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kCPU).contiguous();
  const T* data = static_cast<const T*>(flat.data_ptr());
  return {data, data + flat.numel()};
}
std::vector<std::uint16_t> half_bits(const torch::Tensor& tensor) {
  return to_vector<std::uint16_t>(tensor.to(torch::kFloat16));
}

/// Part `index` of every group's parameters, stacked: [rows, groups, ...].
torch::Tensor gather(const std::vector<GridParams>& params, std::size_t index) {
  std::vector<torch::Tensor> parts;
  for (const GridParams& group : params) parts.push_back(group[index]);
  return torch::stack(parts, 1);
}

torch::Tensor decode_all(const Solution& solution, std::int64_t group) {
  std::vector<torch::Tensor> parts;
  for (std::size_t i = 0; const torch::Tensor& codes : solution.codes.split(group, 1)) {
    parts.push_back(uniform_decode(codes, solution.params[i][0], solution.params[i][1]));
    ++i;
  }
  return torch::cat(parts, 1);
}

/// The kept weights as FP16 residuals over `dense`, which becomes the sum of both.
Overlay keep(const Solution& solution, torch::Tensor& dense) {
  Overlay overlay;
  const torch::Tensor where = solution.kept.nonzero();  // [count, 2], row by row
  const torch::Tensor rows = where.select(1, 0), columns = where.select(1, 1);
  const torch::Tensor residual =
      through_half(solution.weight.index({rows, columns}) - dense.index({rows, columns}));
  dense.index_put_({rows, columns}, residual, /*accumulate=*/true);
  overlay.offsets.assign(static_cast<std::size_t>(dense.size(0)) + 1, 0);
  for (const std::int64_t row : to_vector<std::int64_t>(rows))
    ++overlay.offsets[static_cast<std::size_t>(row) + 1];
  for (std::size_t row = 1; row < overlay.offsets.size(); ++row)
    overlay.offsets[row] += overlay.offsets[row - 1];
  for (const std::int64_t column : to_vector<std::int64_t>(columns))
    overlay.columns.push_back(static_cast<std::uint16_t>(column));
  overlay.values = half_bits(residual);
  return overlay;
}

Stored store(const std::string& name, const Solution& solution, const UniformLayout& layout) {
  UniformMatrix matrix;
  matrix.layout = layout;
  matrix.out = solution.codes.size(0);
  matrix.in = solution.codes.size(1);
  matrix.codes = to_vector<std::uint8_t>(solution.codes);
  if (layout.bilevel) {
    matrix.scale_codes = to_vector<std::uint8_t>(gather(solution.params, 2));
    matrix.zero_codes = to_vector<std::uint8_t>(gather(solution.params, 3));
    matrix.scale_stats = half_bits(gather(solution.params, 4));
    matrix.zero_stats = half_bits(gather(solution.params, 5));
  } else {
    matrix.scales = half_bits(gather(solution.params, 0));
    if (!layout.symmetric) matrix.zeros = half_bits(gather(solution.params, 1));
  }
  torch::Tensor decoded = decode_all(solution, layout.group_size(matrix.in));
  if (solution.kept.defined()) matrix.overlay = keep(solution, decoded);
  return {layout, pack(name, matrix), decoded};
}

}  // namespace

Range min_max(const torch::Tensor& weight, const Kept& kept, int bits) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  torch::Tensor low = kept.defined() ? weight.masked_fill(kept, kInfinity) : weight;
  torch::Tensor high = kept.defined() ? weight.masked_fill(kept, -kInfinity) : weight;
  low = low.amin(1, /*keepdim=*/true);
  high = high.amax(1, /*keepdim=*/true);
  const torch::Tensor empty = low > high;
  low = low.masked_fill(empty, 0);
  high = high.masked_fill(empty, 0);
  const torch::Tensor farthest = torch::maximum(low.abs(), high.abs());
  const torch::Tensor narrow = (high - low) * (kLargestZero / steps(bits)) <= farthest;
  low = torch::where(narrow, low.clamp_max(0), low);
  high = torch::where(narrow, high.clamp_min(0), high);
  return {low, (high - low) / steps(bits)};
}

torch::Tensor real_zero(const torch::Tensor& low, const torch::Tensor& scale) {
  return torch::where(scale != 0, -low / scale, torch::zeros_like(scale));
}

torch::Tensor uniform_encode(const torch::Tensor& weight, const torch::Tensor& scale,
                             const torch::Tensor& zero, int bits) {
  // With scale 0 every code decodes to 0; dividing by 1 keeps them finite.
  const torch::Tensor divisor = scale.masked_fill(scale == 0, 1);
  return (weight / divisor + zero).round().clamp(0, steps(bits)).to(torch::kUInt8);
}

torch::Tensor uniform_decode(const torch::Tensor& codes, const torch::Tensor& scale,
                             const torch::Tensor& zero) {
  return scale * (codes.to(torch::kFloat32) - zero);
}

Grid uniform_grid(Options& options) {
  UniformLayout layout;
  layout.bits = static_cast<int>(options.integer("bits", 4, 2, 8, "2, 3, 4 or 8 bits a code"));
  layout.group = options.integer("group", 128, 0, 65536, "inputs that share statistics; 0: a row");
  layout.bilevel = options.flag("bilevel", false, "3-bit statistics over 16 rows, as in SpQR");
  layout.symmetric = options.flag("symmetric", false, "absmax, zero in the middle");
  if (layout.bits > 4 && layout.bits < 8)
    fail("grid uniform", "bits=" + std::to_string(layout.bits), "2, 3, 4 or 8");
  if (layout.bilevel && layout.symmetric)
    fail("grid uniform", "bilevel=1,symmetric=1", "one of them", "a symmetric grid has no zeros");
  const int bits = layout.bits;
  const auto fit = layout.symmetric ? fit_symmetric : layout.bilevel ? fit_bilevel : fit_plain;
  return {
      .group = layout.group,
      .fit = [fit, bits](const auto& weight, const Kept& kept) { return fit(weight, kept, bits); },
      .encode =
          [bits](const auto& weight, const GridParams& params) {
            return uniform_encode(weight, params[0], params[1], bits);
          },
      .decode =
          [](const auto& codes, const GridParams& params) {
            return uniform_decode(codes, params[0], params[1]);
          },
      .store = [layout](const std::string& name,
                        const Solution& solution) { return store(name, solution, layout); }};
}

}  // namespace karat
