#include "format/shared/list.h"

#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "format/shared/scaled.h"

namespace karat {
namespace {

constexpr float kZero = 0;  // of a symmetric layout

Since since(const PackedLayout&) {
  return {2};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidth[] = {4};
  refuse_variant(where, layout);
  check_bits(where, layout, kWidth, "4, as of every list of values");
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  std::vector<Part> found = {code_rows_part(layout, out, in, write_stream_code)};
  add_plain_stats(layout, out, in, found);
  return found;
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const std::byte* codes = view.codes.data + row * row_bytes(view.in, 4);
  const float* values = view.codec->values.data();
  scaled_row(
      view, w, [&](std::int64_t g) { return plain_stats(view, row, g, kZero); },
      [&](std::int64_t i) { return values[read_bits(codes, 4 * i, 4)]; });
}

CodeFacts facts(const PackedView& view) {
  const PackedLayout& layout = view.layout;
  return {.row_bytes = row_bytes(view.in, 4),
          .values = view.codec->values.data(),
          .fixed_zero = kZero,
          .int8 = layout.groups(view.in) == 1 || layout.group_size(view.in) % 8 == 0};
}

}  // namespace

Codec list_codec(std::string_view name, const ListValues& values) {
  return {.name = name,
          .keys = {bits_key(), group_key(), input_scales_key(), rotation_key(), symmetric_key()},
          .since = since,
          .check = check,
          .parts = parts,
          .read_row = read_row,
          .describe = describe_groups,
          .facts = facts,
          .kernels = "list",
          .values = std::span(values).first(values[15] == values[14] ? 15 : 16)};
}

}  // namespace karat
