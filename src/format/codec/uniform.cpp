// format uniform: evenly spaced values, ŵ = scale·(code − zero). Variants: bilevel statistics;
// codes in blocks, of widths that bytes do not hold whole numbers of.
#include <fmt/format.h>

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

template <const std::string_view& variant>
Key variant_key(bool required) {
  return {.name = variant,
          .required = required,
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.variant == variant; },
          .set =
              [](PackedLayout& layout, const KeyValue& value) {
                if (!std::get<bool>(value)) return;
                if (!layout.variant.empty())
                  fail("read quantization_config", "bilevel codes in blocks", "one of them");
                layout.variant = variant;
              }};
}

Since since(const PackedLayout& layout) {
  if (layout.bits == 5) return {6, " of 5 bits"};
  if (layout.bits == 6) return {6, " of 6 bits"};
  return layout.variant == kBlocks ? Since{4, " in blocks"} : Since{1};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4, 5, 6, 8};
  check_bits(where, layout, kWidths, "2, 3, 4, 5, 6 or 8");
  if (layout.variant == kBlocks && !may_have_blocks(layout))
    fail(where, fmt::format("codes of {} bits in blocks, groups of {}", layout.bits, layout.group),
         fmt::format("3, 5 or 6 bits and groups of a multiple of {}", kCodeBlock));
  if (!layout.variant.empty() && layout.variant != kBilevel && layout.variant != kBlocks)
    fail(where, fmt::format("a {} uniform layout", layout.variant), "bilevel, blocks or neither");
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  const bool blocks = layout.variant == kBlocks;
  std::vector<Part> found = {
      code_rows_part(layout, out, in, blocks ? write_block_code : write_stream_code)};
  if (layout.variant == kBilevel)
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
  const auto plain = [&](std::int64_t g) { return plain_stats(view, row, g, zero); };
  const auto bilevel = [&](std::int64_t g) { return bilevel_stats(view, row, g, zero); };
  if (view.layout.variant == kBlocks) return scaled_row(view, w, plain, in_block);
  if (view.layout.variant == kBilevel) return scaled_row(view, w, bilevel, in_stream);
  scaled_row(view, w, plain, in_stream);
}

CodeFacts facts(const PackedView& view) {
  const PackedLayout& layout = view.layout;
  const bool blocks = layout.variant == kBlocks;
  const bool whole = layout.groups(view.in) == 1 || layout.group_size(view.in) % kCodeBlock == 0;
  const bool aligned = 8 % layout.bits == 0;  // a byte holds a whole number of codes
  return {.row_bytes = row_bytes(view.in, layout.bits),
          .fixed_zero = middle(layout),
          .variant = blocks ? 1 : 0,
          .int8 = layout.variant != kBilevel && (aligned || blocks) && whole};
}

}  // namespace

const Codec& uniform_codec() {
  static const Codec codec = {.name = "uniform",
                              .keys = {bits_key(), group_key(), input_scales_key(), rotation_key(),
                                       variant_key<kBlocks>(/*required=*/false), symmetric_key(),
                                       variant_key<kBilevel>(/*required=*/true)},
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
