// One row of a packed matrix, read the plain way: what unpack and the reference kernels stand on.
#pragma once

#include <vector>

#include "karat/packed.h"

namespace karat {

/// Prefix sums of the outlier counts [out + 1]; empty without an overlay. Throws when they do not
/// end at the number of columns.
std::vector<std::uint32_t> outlier_offsets(const PackedView& view);

/// Writes row `row` as it is stored, without its outliers, to `w` [in]: of R_out ŵ R_inᵀ where the
/// layout has a rotation, of ŵ (1 ⊗ H) where it has that, and before its row scale, where there is
/// one. The last adds the outliers `begin` to `end`.
void dense_row(const PackedView& view, std::int64_t row, float* w);
/// The row's own scale; 1 in most formats.
float row_scale(const PackedView& view, std::int64_t row);
void add_outliers(const PackedView& view, std::uint32_t begin, std::uint32_t end, float* w);

}  // namespace karat
