#include "format/parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "format/input_grid.h"
#include "format/shared/code_parts.h"
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
  std::vector<Part> parts = find_codec("packed layer", layout.format).parts(layout, out, in);
  if (layout.input_scales)
    parts.insert(parts.begin() + 1, halves_part("input_scales", {in}, &PackedView::input_scales,
                                                &PackedMatrix::input_scales));
  return parts;
}

std::span<const NamedPart> all_parts() {
  static constexpr NamedPart kParts[] = {{"codes", &PackedView::codes},
                                         {"scales", &PackedView::scales},
                                         {"zeros", &PackedView::zeros},
                                         {"scale_codes", &PackedView::scale_codes},
                                         {"scale_stats", &PackedView::scale_stats},
                                         {"zero_codes", &PackedView::zero_codes},
                                         {"zero_stats", &PackedView::zero_stats},
                                         {"tables", &PackedView::tables},
                                         {"input_scales", &PackedView::input_scales},
                                         {"row_scales", &PackedView::row_scales}};
  return kParts;
}

std::string describe(const PackedLayout& layout) {
  std::string text = find_codec("packed layer", layout.format).describe(layout);
  if (layout.input_scales) text += " scaled";
  if (layout.rotation) text += " rotated";
  if (layout.hadamard != 0) text += fmt::format(" Hadamard {}", layout.hadamard);
  if (layout.input_bits != 0)
    text += fmt::format(", {}-bit {} inputs", layout.input_bits, layout.input_grid);
  return text;
}

namespace {

void check_inputs(const std::string& where, const PackedLayout& layout) {
  const std::vector<Key>& keys = find_codec(where, layout.format).keys;
  const bool has_own = std::ranges::find(keys, "hadamard", &Key::name) != keys.end();
  if (!has_own && (layout.hadamard != 0 || layout.input_bits != 0))
    fail(where, fmt::format("inputs turned or rounded in a {} layout", layout.format),
         "a format that has such, midrise");
  const std::int64_t block = layout.hadamard;
  if (block != 0 && (block < 2 || block > kMaxHadamard || (block & (block - 1)) != 0))
    fail(where, fmt::format("a Hadamard transform of {}", block), "0 or a power of two from 2",
         fmt::format("at most {}", kMaxHadamard));
  if (layout.input_grid.empty() != (layout.input_bits == 0))
    fail(where, layout.input_bits == 0 ? "an input grid without bits" : "input bits without a grid",
         "both or neither");
  if (layout.input_bits == 0) return;
  find_input_grid(where, layout.input_grid);
  if (layout.input_bits < 1 || layout.input_bits > 8)
    fail(where, fmt::format("inputs of {} bits", layout.input_bits), "1 to 8");
}

}  // namespace

void check_layout(const std::string& where, const PackedLayout& layout) {
  find_codec(where, layout.format).check(where, layout);
  if (layout.group < 0 || layout.group > std::numeric_limits<std::int32_t>::max())
    fail(where, fmt::format("group {}", layout.group), "0 (the whole row) or a positive size");
  if (layout.rotation.value_or(0) > std::numeric_limits<std::int32_t>::max())
    fail(where, fmt::format("rotation {}", *layout.rotation), "a seed below 2^31");
  check_inputs(where, layout);
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
  if (layout.hadamard != 0 && in % layout.hadamard != 0)
    fail(where, fmt::format("{} inputs in blocks of {}", in, layout.hadamard), "whole blocks");
}

std::int64_t PackedView::stored_bits() const {
  std::int64_t bits = 0;
  const auto add = [&](const TensorView& part) {
    if (part.data != nullptr) bits += static_cast<std::int64_t>(part.bytes()) * 8;
  };
  for (const NamedPart& part : all_parts()) add(this->*part.view);
  for (const TensorView* part : {&outlier_counts, &outlier_columns, &outlier_values}) add(*part);
  return bits;
}

std::int64_t PackedView::outliers() const {
  return outlier_columns.data == nullptr ? 0 : outlier_columns.numel();
}

}  // namespace karat
