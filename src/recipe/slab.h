// A layer cut into the slabs of its grid: said once for every solver.
#pragma once

#include "karat/axes.h"

namespace karat {

/// Slabs of one layer. A solver that moves weights hands in the moved ones; cost and Hessian stay.
class Slabs {
 public:
  Slabs(const Layer& layer, const Kept& kept, const Grid& grid);
  std::int64_t width() const { return width_; }  // columns of a group; the last may be narrower
  /// Columns [begin, begin + width) of `weight` [out, in].
  Slab cut(const torch::Tensor& weight, std::int64_t begin) const;

 private:
  Kept kept_;
  torch::Tensor cost_, hessian_;
  std::int64_t in_, width_;
};

/// Rows [first, last) of a layer of `out` rows.
GridParams rows_of(const GridParams& params, std::int64_t out, std::int64_t first,
                   std::int64_t last);

}  // namespace karat
