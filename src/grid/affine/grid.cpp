// An affine grid: a layout, and a fit found by name.
#include "format/codec/uniform/blocks.h"
#include "grid/affine/affine.h"
#include "grid/shared/row_scale.h"
#include "karat/error.h"

namespace karat {

// Written by cmake/registry.cmake from the file names in src/grid/fit.
const std::map<std::string, Fit (*)(Options&)>& fit_table();

namespace {

/// What a fit found, or min-max where that cannot be stored: no scale, or one or a zero beyond
/// FP16.
Affine storable(const Affine& line, const Slab& slab, const Levels& levels) {
  constexpr double kLargestHalf = 65504;
  const torch::Tensor good = (line.scale > 0) & (line.scale <= kLargestHalf) &
                             line.offset.isfinite() &
                             (line.offset.abs() < line.scale * kLargestZero);
  if (good.all().item<bool>()) return line;
  const Affine range = min_max(slab.weight, slab.kept, levels);
  return {torch::where(good, line.scale, range.scale),
          torch::where(good, line.offset, range.offset)};
}

/// The largest magnitude becomes the highest level; the zero is the middle one and is not stored.
GridParams fit_symmetric(const Slab& slab, const Levels& levels) {
  const torch::Tensor weight =
      slab.kept.defined() ? slab.weight.masked_fill(slab.kept, 0) : slab.weight;
  const torch::Tensor scale =
      weight.abs().amax(1, /*keepdim=*/true) / (levels.values.back() - levels.middle);
  return {scale.to(torch::kFloat16).to(torch::kFloat32), torch::full_like(scale, levels.middle)};
}

Fit choose_fit(Options& options, bool symmetric) {
  std::vector<std::string> names;
  for (const auto& [name, factory] : fit_table()) names.push_back(name);
  const std::string name = options.choice("fit", "minmax", names, "how scale and zero are found");
  if (symmetric && name != "minmax")
    fail("grid", "symmetric=1,fit=" + name, "one of them", "a symmetric grid has its own fit");
  return fit_table().at(name)(options);
}

}  // namespace

Grid list_grid(const std::string& format, Options& options) {
  PackedLayout layout;
  layout.format = format;
  layout.bits = static_cast<int>(options.integer("bits", 4, 4, 4, "this grid has 4-bit codes"));
  layout.group = options.integer("group", 128, 0, 65536, "inputs that share statistics; 0: a row");
  layout.symmetric = options.flag("symmetric", false, "absmax, no zero stored");
  return affine_grid(layout, options);
}

Grid affine_grid(const PackedLayout& layout, Options& options) {
  const Fit fit = choose_fit(options, layout.symmetric);
  const Levels levels = levels_of(layout);
  const bool bilevel = is_bilevel(layout);
  Grid grid{.group = layout.group, .needs = fit.cost.needs, .cost = fit.cost.of, .gram = fit.gram};
  grid.needs.hessian = fit.gram;
  const auto line = [fit, levels](const Slab& slab) {
    return storable(fit.line(slab, levels), slab, levels);
  };
  if (layout.symmetric)
    grid.fit = [levels](const Slab& slab) { return fit_symmetric(slab, levels); };
  else if (bilevel)
    grid.fit = [line, levels](const Slab& slab) { return store_bilevel(line(slab), slab, levels); };
  else
    grid.fit = [line](const Slab& slab) { return store_plain(line(slab)); };
  grid.fit_rows = grid.fit;
  if (bilevel && !fit.gram)
    grid.fit_rows = [line](const Slab& slab) { return store_plain(line(slab)); };
  if (fit.gram)
    grid.fit_rows = [levels](const Slab& slab) {
      return store_plain(min_max(slab.weight, slab.kept, levels));
    };
  if (levels.integers && !layout.symmetric && !bilevel)
    grid.even = EvenLevels{.top = levels.values.back(), .params = [](const auto& s, const auto& z) {
                             return store_plain(line_of(s, z));
                           }};
  if (!bilevel) grid.rescale = rescaled;
  grid.encode = [levels](const auto& weight, const GridParams& params) {
    return encode(weight, params[0], params[1], levels);
  };
  grid.decode = [levels](const auto& codes, const GridParams& params) {
    return decode(codes, params[0], params[1], levels);
  };
  grid.store = [layout](const std::string& name, const Solution& solution) {
    return store_affine(name, solution, layout);
  };
  return grid;
}

}  // namespace karat
