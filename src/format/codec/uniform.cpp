// format uniform: evenly spaced values, ŵ = scale·(code − zero). Variants: bilevel statistics;
// codes in blocks, of widths that bytes do not hold whole numbers of.
#include <fmt/format.h>

#include <bit>

#include "format/codec/uniform/bilevel.h"
#include "format/codec/uniform/blocks.h"
#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "karat/error.h"

namespace karat {
namespace {

float middle(const PackedLayout& layout) {
  return static_cast<float>(1 << (layout.bits - 1));
}

/// A flag that is part of a variant, alone or with the other one.
template <bool (*has)(const PackedLayout&), const std::string_view& alone>
Key variant_key(bool required) {
  return {.name = alone,
          .required = required,
          .get = [](const PackedLayout& layout) -> KeyValue { return has(layout); },
          .set =
              [](PackedLayout& layout, const KeyValue& value) {
                if (std::get<bool>(value))
                  layout.variant = layout.variant.empty() ? alone : kBilevelBlocks;
              }};
}

Since since(const PackedLayout& layout) {
  if (layout.bits == 5) return {6, " of 5 bits"};
  if (layout.bits == 6) return {6, " of 6 bits"};
  if (!in_blocks(layout)) return {1};
  const bool whole = layout.group % kCodeBlock == 0 && !is_bilevel(layout);
  return whole ? Since{4, " in blocks"} : Since{6, " in blocks of smaller groups"};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4, 5, 6, 8};
  check_bits(where, layout, kWidths, "2, 3, 4, 5, 6 or 8");
  if (!layout.variant.empty() && !is_bilevel(layout) && !in_blocks(layout))
    fail(where, fmt::format("a {} uniform layout", layout.variant),
         "bilevel, blocks, both or neither");
  if (in_blocks(layout) && !may_have_blocks(layout))
    fail(where, fmt::format("codes of {} bits in blocks, groups of {}", layout.bits, layout.group),
         "3, 5 or 6 bits and groups of a multiple of 8");
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  std::vector<Part> found = {
      code_rows_part(layout, out, in, in_blocks(layout) ? write_block_code : write_stream_code)};
  if (is_bilevel(layout))
    add_bilevel_stats(layout, out, in, found);
  else
    add_plain_stats(layout, out, in, found);
  return found;
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const int bits = view.layout.bits;
  const std::byte* codes = view.codes.data + row * row_bytes(view.in, bits);
  const float zero = middle(view.layout);
  const auto in_stream = [&](std::int64_t i) {
    return static_cast<float>(read_bits(codes, i * bits, bits));
  };
  const auto in_block = [&](std::int64_t i) {
    return static_cast<float>(read_block_code(codes, view.in, i, bits));
  };
  const auto with_codes = [&](const auto& stats) {
    if (in_blocks(view.layout)) return scaled_row(view, w, stats, in_block);
    scaled_row(view, w, stats, in_stream);
  };
  if (is_bilevel(view.layout))
    with_codes([&](std::int64_t g) { return bilevel_stats(view, row, g, zero); });
  else
    with_codes([&](std::int64_t g) { return plain_stats(view, row, g, zero); });
}

/// Whether the 8-bit kernels can multiply: codes that lie as they want them, and groups of whole
/// blocks, one a row, or such that no two of them meet in a lane of a sum.
bool has_int8(const PackedView& view) {
  const PackedLayout& layout = view.layout;
  const std::int64_t size = layout.group_size(view.in), lane = layout.bits == 2 ? 16 : 8;
  if (8 % layout.bits != 0 && !in_blocks(layout)) return false;
  if (is_bilevel(layout))
    return std::has_single_bit(static_cast<std::uint64_t>(size)) && size >= lane &&
           size < kCodeBlock;
  return layout.groups(view.in) == 1 || size % lane == 0;
}

CodeFacts facts(const PackedView& view) {
  return {.row_bytes = row_bytes(view.in, view.layout.bits),
          .fixed_zero = middle(view.layout),
          .variant = in_blocks(view.layout) ? 1 : 0,
          .int8 = has_int8(view)};
}

}  // namespace

PackedLayout with_blocks(PackedLayout layout) {
  if (may_have_blocks(layout)) layout.variant = is_bilevel(layout) ? kBilevelBlocks : kBlocks;
  return layout;
}

const Codec& uniform_codec() {
  static const Codec codec = {
      .name = "uniform",
      .keys = {bits_key(), group_key(), input_scales_key(), rotation_key(),
               variant_key<in_blocks, kBlocks>(/*required=*/false), symmetric_key(),
               variant_key<is_bilevel, kBilevel>(/*required=*/true)},
      .since = since,
      .check = check,
      .parts = parts,
      .read_row = read_row,
      .describe = describe_groups,
      .facts = facts,
      .kernels = "uniform"};
  return codec;
}

}  // namespace karat
