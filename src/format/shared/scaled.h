// What the formats ŵ = scale·(value − zero) share, whatever a code's value is.
#pragma once

#include <algorithm>

#include "format/codec.h"
#include "format/parts.h"

namespace karat {

struct GroupStats {
  float scale, zero;
};
/// Of FP16 scales and zeros [out, groups]; `fixed_zero` where no zeros are stored.
GroupStats plain_stats(const PackedView& view, std::int64_t row, std::int64_t group,
                       float fixed_zero);
/// The parts scales and, unless symmetric, zeros.
void add_plain_stats(const PackedLayout& layout, std::int64_t out, std::int64_t in,
                     std::vector<Part>& parts);

/// A row to `w` [in]: stats_of(g) gives the GroupStats of a group, value_at(i) the value of a code.
template <class StatsOf, class ValueAt>
void scaled_row(const PackedView& view, float* w, const StatsOf& stats_of,
                const ValueAt& value_at) {
  const std::int64_t size = view.layout.group_size(view.in);
  for (std::int64_t g = 0, i = 0; i < view.in; ++g) {
    const GroupStats stats = stats_of(g);
    for (const std::int64_t end = std::min(i + size, view.in); i < end; ++i)
      w[i] = stats.scale * (value_at(i) - stats.zero);
  }
}

/// "4-bit", the format's name unless it is uniform, "g128" or "rows", "symmetric", the variant.
std::string describe_groups(const PackedLayout& layout);

/// Throws unless the bits are among `allowed`; `expected` says which.
void check_bits(const std::string& where, const PackedLayout& layout, std::span<const int> allowed,
                const char* expected);
/// Throws on a variant: the format has none.
void refuse_variant(const std::string& where, const PackedLayout& layout);
/// Throws on a layout with groups: the format's rows are wholes.
void refuse_groups(const std::string& where, const PackedLayout& layout);
/// Throws on a symmetric layout: the format has no zero.
void refuse_symmetric(const std::string& where, const PackedLayout& layout);

}  // namespace karat
