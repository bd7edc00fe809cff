#include "grid/affine/affine.h"

#include <limits>

#include "format/codec.h"

namespace karat {
namespace {

constexpr double kSmallestHalf = 0x1p-24;

torch::Tensor through_half(const torch::Tensor& x) {
  return x.to(torch::kFloat16).to(torch::kFloat32);
}

/// [out, 1] as tiles of kBilevelRows rows, the last one filled up with `value`.
torch::Tensor tiled(const torch::Tensor& x, double value) {
  const std::int64_t padding = (kBilevelRows - x.size(0) % kBilevelRows) % kBilevelRows;
  return torch::constant_pad_nd(x, {0, 0, 0, padding}, value).view({-1, kBilevelRows});
}

/// Lines whose zeros lie close enough together to share 3-bit codes; levels begin at 0. A range
/// that misses 0 has its zero beyond the levels, thousands of them where a group is nearly
/// constant, and would leave the zeros of the other 15 rows a code or two. Rounding zeros costs
/// less than rounding weights as long as a step of their code is less than a level. Where it would
/// be more, ranges that miss 0 are stretched to include it: until their zero is one that the
/// ordinary rows have, which costs those nothing, or, where that takes a larger scale than theirs,
/// just to 0.
Affine with_near_zeros(const Affine& line, const torch::Tensor& absent, const Levels& levels) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity(),
                   kSteps = (1 << kBilevelBits) - 1;
  const double top = levels.span();
  const torch::Tensor zero = zero_of(line);
  const torch::Tensor first = line.offset, last = first + line.scale * top;
  const torch::Tensor above = first > 0, misses = above | (last < 0), strange = absent | misses;
  const auto most = [](const torch::Tensor& x, const torch::Tensor& skipped) {  // of each tile
    return tiled(x.masked_fill(skipped, -kInfinity), -kInfinity)
        .amax(1)
        .repeat_interleave(kBilevelRows)
        .narrow(0, 0, x.size(0))
        .view({-1, 1});
  };
  const torch::Tensor apart = most(zero, absent) + most(-zero, absent) > kSteps;
  const torch::Tensor near = torch::where(above, -most(-zero, strange), most(zero, strange));
  const torch::Tensor wide = torch::where(above, last / (top - near), -first / near);
  const torch::Tensor fits = (wide > 0) & (wide <= most(line.scale, strange));
  const torch::Tensor scale = torch::where(fits, wide, torch::where(above, last, -first) / top);
  const torch::Tensor found =
      torch::where(fits, near, torch::full_like(zero, top).masked_fill(above, 0));
  const torch::Tensor stretch = apart & misses;
  return {torch::where(stretch, scale, line.scale),
          torch::where(stretch, -scale * found, line.offset)};
}

/// Rounds one statistic [out, 1] to 3 bits over 16 rows: {decoded [out, 1], codes [out, 1], FP16
/// {scale, zero} [ceil(out/16), 2]}. Rows in `absent` [out, 1] and the padding do not count.
std::vector<torch::Tensor> second_level(const torch::Tensor& statistic,
                                        const torch::Tensor& absent) {
  const std::int64_t out = statistic.size(0);
  const Levels levels = integer_levels(kBilevelBits);
  const torch::Tensor tiles = tiled(statistic, 0);
  const GridParams level = store_plain(min_max(tiles, tiled(absent, 1), levels));
  const torch::Tensor codes = encode(tiles, level[0], level[1], levels);
  const auto rows = [&](const torch::Tensor& x) { return x.view({-1, 1}).narrow(0, 0, out); };
  return {rows(decode(codes, level[0], level[1], levels)), rows(codes), torch::cat(level, 1)};
}

/// Every row's zero becomes the one of its tile's eight that loses least under the rounded scale.
void choose_zeros(const Slab& slab, const torch::Tensor& scale, const Levels& levels,
                  std::vector<torch::Tensor>& zeros) {
  const torch::Tensor level =
      zeros[2].repeat_interleave(kBilevelRows, 0).narrow(0, 0, scale.size(0));
  torch::Tensor least = torch::full_like(scale, std::numeric_limits<double>::infinity(),
                                         torch::dtype(torch::kFloat64));
  for (int code = 0; code < 1 << kBilevelBits; ++code) {
    const torch::Tensor zero = level.slice(1, 0, 1) * (code - level.slice(1, 1, 2));
    torch::Tensor error =
        decode(encode(slab.weight, scale, zero, levels), scale, zero, levels) - slab.weight;
    if (slab.kept.defined()) error = error.masked_fill(slab.kept, 0);
    const torch::Tensor lost = error.square().sum(1, /*keepdim=*/true, torch::kFloat64);
    const torch::Tensor better = lost < least;
    least = torch::where(better, lost, least);
    zeros[0] = torch::where(better, zero, zeros[0]);
    zeros[1].masked_fill_(better, code);
  }
}

}  // namespace

Levels integer_levels(int bits) {
  Levels levels{.integers = true, .middle = static_cast<double>(1 << (bits - 1))};
  for (int code = 0; code < 1 << bits; ++code) levels.values.push_back(static_cast<float>(code));
  return levels;
}

Levels levels_of(const PackedLayout& layout) {
  const std::span<const float> values = find_codec("grid", layout.format).values;
  if (values.empty()) return integer_levels(layout.bits);
  return {.values = {values.begin(), values.end()}};
}

Affine min_max(const torch::Tensor& weight, const Kept& kept, const Levels& levels) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  torch::Tensor low = kept.defined() ? weight.masked_fill(kept, kInfinity) : weight;
  torch::Tensor high = kept.defined() ? weight.masked_fill(kept, -kInfinity) : weight;
  low = low.amin(1, /*keepdim=*/true);
  high = high.amax(1, /*keepdim=*/true);
  const torch::Tensor empty = low > high;
  low = low.masked_fill(empty, 0);
  high = high.masked_fill(empty, 0);
  const torch::Tensor farthest = torch::maximum(low.abs(), high.abs());
  const torch::Tensor narrow = (high - low) * (kLargestZero / levels.span()) <= farthest;
  low = torch::where(narrow, low.clamp_max(0), low);
  high = torch::where(narrow, high.clamp_min(0), high);
  const torch::Tensor scale = (high - low) / levels.span();
  return {scale, low - scale * levels.values.front()};
}

torch::Tensor encode(const torch::Tensor& weight, const torch::Tensor& scale,
                     const torch::Tensor& zero, const Levels& levels) {
  // With scale 0 every code decodes to 0; dividing by 1 keeps them finite.
  const torch::Tensor position = weight / scale.masked_fill(scale == 0, 1) + zero;
  if (levels.integers) return position.round().clamp(0, levels.values.back()).to(torch::kUInt8);
  const torch::Tensor values = torch::tensor(levels.values, position.options());
  const torch::Tensor middles = (values.slice(0, 1) + values.slice(0, 0, -1)) / 2;
  return torch::bucketize(position.contiguous(), middles, /*out_int32=*/true).to(torch::kUInt8);
}

torch::Tensor decode(const torch::Tensor& codes, const torch::Tensor& scale,
                     const torch::Tensor& zero, const Levels& levels) {
  if (levels.integers) return scale * (codes.to(torch::kFloat32) - zero);
  const torch::Tensor values = torch::tensor(levels.values, scale.options());
  const torch::Tensor found = values.index_select(0, codes.flatten().to(torch::kInt32));
  return scale * (found.view(codes.sizes()) - zero);
}

torch::Tensor zero_of(const Affine& line) {
  return torch::where(line.scale != 0, -line.offset / line.scale, torch::zeros_like(line.scale));
}

Affine line_of(const torch::Tensor& scale, const torch::Tensor& zero) {
  return {scale, -scale * zero};
}

GridParams store_plain(const Affine& line) {
  const torch::Tensor& scale = line.scale;
  const torch::Tensor stored =
      through_half(torch::where(scale > 0, scale.clamp_min(kSmallestHalf), scale));
  return {stored, through_half(zero_of({stored, line.offset}))};
}

GridParams store_bilevel(const Affine& fitted, const Slab& slab, const Levels& levels) {
  const Kept& kept = slab.kept;
  const torch::Tensor absent = kept.defined() ? kept.all(1, /*keepdim=*/true)
                                              : torch::zeros_like(fitted.scale, torch::kBool);
  const Affine line = with_near_zeros(fitted, absent, levels);
  const auto scales = second_level(line.scale, absent);
  auto zeros = second_level(zero_of(line), absent);
  choose_zeros(slab, scales[0], levels, zeros);
  return {scales[0], zeros[0], scales[1], zeros[1], scales[2], zeros[2]};
}

}  // namespace karat
