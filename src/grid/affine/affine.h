// What the grids ŵ = scale·(level[code] − zero) share: the levels, the fits of a slab, and the
// statistics as they are stored.
#pragma once

#include "grid/shared/cost.h"
#include "karat/axes.h"

namespace karat {

// A |zero| stays below this even where the scale is rounded to a subnormal, so it fits FP16.
inline constexpr double kLargestZero = 32768;

/// The values of a grid before scale and zero, ascending.
struct Levels {
  std::vector<float> values = {};
  bool integers = false;  // 0, 1, 2, …: rounding finds the nearest
  double middle = 0;      // the level that a symmetric grid decodes to 0
  double span() const { return values.back() - values.front(); }
};
Levels integer_levels(int bits);
Levels levels_of(const PackedLayout& layout);

/// ŵ = scale·level + offset, each [rows, 1]; the zero of the file is −offset / scale.
struct Affine {
  torch::Tensor scale, offset;
};

/// How a slab's scale and offset are found: a second name within a grid, "uniform:fit=mse". A fit
/// is src/grid/fit/<name>.cpp with `Fit <name>_fit(Options&)`; its options are the grid's.
struct Fit {
  Cost cost = {};
  bool gram = false;  // as Grid::gram
  std::function<Affine(const Slab& slab, const Levels& levels)> line = {};
};

/// The lowest and highest entry of each row become the outermost levels. A range too narrow for an
/// FP16 zero (a constant row, say) is stretched to reach 0; a row without entries gets scale 0.
Affine min_max(const torch::Tensor& weight, const Kept& kept, const Levels& levels);

/// Codes [rows, n] U8 of the nearest levels, the lower one on a tie between codebook levels.
torch::Tensor encode(const torch::Tensor& weight, const torch::Tensor& scale,
                     const torch::Tensor& zero, const Levels& levels);
torch::Tensor decode(const torch::Tensor& codes, const torch::Tensor& scale,
                     const torch::Tensor& zero, const Levels& levels);
/// −offset / scale, and 0 where the scale is 0.
torch::Tensor zero_of(const Affine& line);
/// The reverse: offset = −scale·zero.
Affine line_of(const torch::Tensor& scale, const torch::Tensor& zero);

/// {scale, zero} rounded to FP16. The zero follows the rounded scale, so the offset stays.
GridParams store_plain(const Affine& line);
/// {scale, zero, scale codes, zero codes, scale statistics, zero statistics}: 3-bit codes over 16
/// rows with FP16 statistics of their own (SpQR, arXiv 2306.03078). Wholly kept rows do not count,
/// and no row's range lies so far from 0 that its zero spoils those of the others.
GridParams store_bilevel(const Affine& fitted, const Slab& slab, const Levels& levels);

/// The grid of a layout whose bits, group, levels are settled; asks for the fit and its options.
Grid affine_grid(const PackedLayout& layout, Options& options);
/// The grid of a format whose 4-bit codes stand for a list of values, with its options.
Grid list_grid(const std::string& format, Options& options);
/// The layer as its tensors will hold it.
Stored store_affine(const std::string& name, const Solution& solution, const PackedLayout& layout);

}  // namespace karat
