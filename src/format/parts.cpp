#include "format/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "format/blocks.h"
#include "format/trellis.h"
#include "karat/error.h"

namespace karat {

std::int64_t PackedLayout::group_size(std::int64_t in) const {
  return group == 0 || group > in ? in : group;
}
std::int64_t PackedLayout::groups(std::int64_t in) const {
  const std::int64_t size = group_size(in);
  return size == 0 ? 0 : (in - 1) / size + 1;
}

std::vector<Part> layout_parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  const std::int64_t groups = layout.groups(in), blocks = row_blocks(out);
  const bool trellis = layout.codebook == Codebook::trellis;
  std::vector<Part> parts = {
      {"codes", DType::u8, {out, row_bytes(in, layout.bits)}, &PackedView::codes}};
  if (trellis) parts[0].shape = {TrellisTiles{out, in, layout.bits}.bytes()};
  if (layout.input_scales)
    parts.push_back({"input_scales", DType::f16, {in}, &PackedView::input_scales});
  if (layout.codebook == Codebook::lut) {
    parts.push_back({"tables", DType::f16, {out, groups, 1 << layout.bits}, &PackedView::tables});
    return parts;
  }
  if (!layout.bilevel) {
    parts.push_back({"scales", DType::f16, {out, groups}, &PackedView::scales});
    if (!layout.symmetric && !trellis)
      parts.push_back({"zeros", DType::f16, {out, groups}, &PackedView::zeros});
    return parts;
  }
  const std::vector<std::int64_t> codes = {blocks, groups, kBilevelBytes},
                                  stats = {blocks, groups, 2};
  parts.push_back({"scale_codes", DType::u8, codes, &PackedView::scale_codes});
  parts.push_back({"scale_stats", DType::f16, stats, &PackedView::scale_stats});
  if (layout.symmetric) return parts;
  parts.push_back({"zero_codes", DType::u8, codes, &PackedView::zero_codes});
  parts.push_back({"zero_stats", DType::f16, stats, &PackedView::zero_stats});
  return parts;
}

namespace {

/// The bits and the flags that go with a codebook.
void check_codebook(const std::string& where, const PackedLayout& layout) {
  const auto bits_among = [&](std::initializer_list<int> allowed, const char* expected) {
    if (std::ranges::find(allowed, layout.bits) == allowed.end())
      fail(where, fmt::format("{} bits", layout.bits), expected);
  };
  if (layout.codebook > Codebook::trellis)
    fail(where, fmt::format("codebook {}", static_cast<int>(layout.codebook)), "one with a name");
  if (layout.codebook == Codebook::uniform) return bits_among({2, 3, 4, 8}, "2, 3, 4 or 8");
  const std::string_view name = name_of(layout.codebook);
  if (layout.bilevel) fail(where, fmt::format("a bilevel {} layout", name), "a uniform one");
  if (!codebook_values(layout.codebook).empty())
    return bits_among({4}, "4, as of every list of values");
  if (layout.codebook == Codebook::lut)
    bits_among({2, 3, 4}, "2, 3 or 4 for a table");
  else
    bits_among({2, 3, 4, 5}, "2 to 5 for a trellis");
  if (layout.symmetric)
    fail(where, fmt::format("a symmetric {} layout", name), "none: it has no zero");
  if (layout.codebook == Codebook::lut) return;
  if (layout.group != 0) fail(where, fmt::format("groups of {} in a trellis", layout.group), "0");
  if (layout.code > TrellisCode::one_mad_12)
    fail(where, fmt::format("trellis code {}", static_cast<int>(layout.code)), "one with a name");
}

}  // namespace

void check_layout(const std::string& where, const PackedLayout& layout) {
  check_codebook(where, layout);
  if (layout.group < 0 || layout.group > std::numeric_limits<std::int32_t>::max())
    fail(where, fmt::format("group {}", layout.group), "0 (the whole row) or a positive size");
  if (layout.rotation.value_or(0) > std::numeric_limits<std::int32_t>::max())
    fail(where, fmt::format("rotation {}", *layout.rotation), "a seed below 2^31");
  if (layout.blocks && !may_have_blocks(layout))
    fail(
        where,
        fmt::format("{}{} codes of {} bits in blocks, groups of {}",
                    layout.bilevel ? "bilevel " : "", name_of(layout.codebook), layout.bits,
                    layout.group),
        fmt::format("uniform ones of 3 bits, not bilevel, groups of a multiple of {}", kCodeBlock));
}

void check_layout(const std::string& name, const PackedLayout& layout, std::int64_t out,
                  std::int64_t in) {
  const std::string where = "packed layer " + name;
  check_layout(where, layout);
  constexpr std::int64_t limit = std::numeric_limits<std::int32_t>::max();  // out · in < 2^62
  if (out < 1 || in < 1 || out > limit || in > limit)
    fail(where, fmt::format("a matrix of [{}, {}]", out, in), "extents from 1 to 2^31 - 1");
  for (const std::int64_t n : {out, in})
    if (layout.rotation && n / (n & -n) > kMaxRotationOdd)
      fail(where, fmt::format("a rotation of {} = 2^k * {}", n, n / (n & -n)),
           fmt::format("an odd factor of at most {}", kMaxRotationOdd));
}

namespace {
void for_each_part(const PackedView& view, const auto& body) {
  for (const TensorView* part :
       {&view.codes, &view.scales, &view.zeros, &view.scale_codes, &view.zero_codes,
        &view.scale_stats, &view.zero_stats, &view.tables, &view.input_scales, &view.outlier_counts,
        &view.outlier_columns, &view.outlier_values})
    if (part->data != nullptr) body(*part);
}
}  // namespace

std::int64_t PackedView::stored_bits() const {
  std::int64_t bits = 0;
  for_each_part(
      *this, [&](const TensorView& part) { bits += static_cast<std::int64_t>(part.bytes()) * 8; });
  return bits;
}

std::int64_t PackedView::outliers() const {
  return outlier_columns.data == nullptr ? 0 : outlier_columns.numel();
}

}  // namespace karat
