#include "format/shared/scaled.h"

#include <fmt/format.h>

#include "format/shared/code_parts.h"
#include "karat/error.h"

namespace karat {

GroupStats plain_stats(const PackedView& view, std::int64_t row, std::int64_t group,
                       float fixed_zero) {
  const std::int64_t at = row * view.layout.groups(view.in) + group;
  return {half_at(view.scales, at), view.layout.symmetric ? fixed_zero : half_at(view.zeros, at)};
}

void add_plain_stats(const PackedLayout& layout, std::int64_t out, std::int64_t in,
                     std::vector<Part>& parts) {
  const std::vector<std::int64_t> shape = {out, layout.groups(in)};
  parts.push_back(halves_part("scales", shape, &PackedView::scales, &PackedMatrix::scales));
  if (!layout.symmetric)
    parts.push_back(halves_part("zeros", shape, &PackedView::zeros, &PackedMatrix::zeros));
}

std::string describe_groups(const PackedLayout& layout) {
  std::string text = fmt::format("{}-bit", layout.bits);
  if (layout.format != PackedLayout{}.format) text += " " + layout.format;
  text += layout.group > 0 ? fmt::format(" g{}", layout.group) : " rows";
  if (layout.symmetric) text += " symmetric";
  if (!layout.variant.empty()) text += " " + layout.variant;
  return text;
}

void check_bits(const std::string& where, const PackedLayout& layout, std::span<const int> allowed,
                const char* expected) {
  if (std::ranges::find(allowed, layout.bits) == allowed.end())
    fail(where, fmt::format("{} bits", layout.bits), expected);
}

void refuse_variant(const std::string& where, const PackedLayout& layout) {
  if (!layout.variant.empty())
    fail(where, fmt::format("a {} {} layout", layout.variant, layout.format),
         "none: the format has no variants");
}

void refuse_groups(const std::string& where, const PackedLayout& layout) {
  if (layout.group != 0)
    fail(where, fmt::format("groups of {} in a {} layout", layout.group, layout.format), "0");
}

void refuse_symmetric(const std::string& where, const PackedLayout& layout) {
  if (layout.symmetric)
    fail(where, fmt::format("a symmetric {} layout", layout.format), "none: it has no zero");
}

}  // namespace karat
