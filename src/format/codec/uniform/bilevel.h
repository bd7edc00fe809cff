// Bilevel statistics (SpQR, arXiv 2306.03078; docs/format.md, section 5): 3-bit scales and zeros
// over 16 rows, with FP16 {scale, zero} of their own.
#pragma once

#include "format/shared/scaled.h"

namespace karat {

/// The parts scale_codes, scale_stats and, unless symmetric, zero_codes, zero_stats.
void add_bilevel_stats(const PackedLayout& layout, std::int64_t out, std::int64_t in,
                       std::vector<Part>& parts);
GroupStats bilevel_stats(const PackedView& view, std::int64_t row, std::int64_t group,
                         float fixed_zero);

}  // namespace karat
