// format lut: a table of 2^bits FP16 values for each row and group, ŵ = table[code].
#include <algorithm>

#include "format/parts.h"
#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "format/shared/scaled.h"

namespace karat {
namespace {

Since since(const PackedLayout&) {
  return {2};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4};
  refuse_variant(where, layout);
  check_bits(where, layout, kWidths, "2, 3 or 4 for a table");
  refuse_symmetric(where, layout);
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  return {code_rows_part(layout, out, in, write_stream_code),
          halves_part("tables", {out, layout.groups(in), 1 << layout.bits}, &PackedView::tables,
                      &PackedMatrix::tables)};
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const int bits = view.layout.bits;
  const std::int64_t size = view.layout.group_size(view.in), groups = view.layout.groups(view.in);
  const std::byte* codes = view.codes.data + row * row_bytes(view.in, bits);
  for (std::int64_t g = 0, i = 0; i < view.in; ++g) {
    const std::int64_t table = (row * groups + g) << bits;
    for (const std::int64_t end = std::min(i + size, view.in); i < end; ++i)
      w[i] = half_at(view.tables, table + read_bits(codes, i * bits, bits));
  }
}

CodeFacts facts(const PackedView& view) {
  const PackedLayout& layout = view.layout;
  return {.row_bytes = row_bytes(view.in, layout.bits),
          .sums = false,
          .int8 = layout.bits == 4 && layout.groups(view.in) == 1};
}

}  // namespace

const Codec& lut_codec() {
  static const Codec codec = {.name = "lut",
                              .keys = {bits_key(), group_key(), input_scales_key(), rotation_key()},
                              .since = since,
                              .check = check,
                              .parts = parts,
                              .read_row = read_row,
                              .describe = describe_groups,
                              .facts = facts,
                              .kernels = "lut"};
  return codec;
}

}  // namespace karat
