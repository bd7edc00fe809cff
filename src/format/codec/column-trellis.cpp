// format column-trellis: a code alone says nothing; with those of the rows above it in its column
// it names the entries of tables whose sum is the value (column-trellis/code.h), ŵ = scale·value.
#include <fmt/format.h>

#include <vector>

#include "format/codec/column-trellis/code.h"
#include "format/codec/uniform/blocks.h"
#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "format/shared/scaled.h"

namespace karat {
namespace {

Since since(const PackedLayout&) {
  return {7};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4, 5};
  refuse_variant(where, layout);
  check_bits(where, layout, kWidths, "2 to 5 for a column trellis");
  refuse_symmetric(where, layout);
  refuse_groups(where, layout);
}

/// Codes lie as those of uniform layers do, so that the same kernels unpack them.
std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  return {
      code_rows_part(layout, out, in,
                     needs_blocks(layout.bits) ? write_block_code : write_stream_code),
      halves_part("scales", {out, layout.groups(in)}, &PackedView::scales, &PackedMatrix::scales)};
}

void read_codes(const PackedView& view, std::int64_t row, std::uint8_t* to) {
  const int bits = view.layout.bits;
  const std::byte* from = view.codes.data + row * row_bytes(view.in, bits);
  for (std::int64_t i = 0; i < view.in; ++i)
    to[i] = static_cast<std::uint8_t>(read_row_code(from, view.in, i, bits));
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const ColumnCode& code = column_code(view.layout.bits);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(code.rows * view.in));
  for (std::int64_t r = 0; r < code.rows; ++r)
    read_codes(view, row_above(row, r, view.out), &codes[r * view.in]);
  const float scale = half_at(view.scales, row) * code.step;
  for (std::int64_t i = 0; i < view.in; ++i) {
    std::uint8_t column[ColumnCode::kMostRows];
    for (std::int64_t r = 0; r < code.rows; ++r) column[r] = codes[r * view.in + i];
    w[i] = scale * static_cast<float>(column_sum(code, column) - code.zero);
  }
}

std::string words(const PackedLayout& layout) {
  return fmt::format("{}-bit {}", layout.bits, layout.format);
}

CodeFacts facts(const PackedView& view) {
  return {.row_bytes = row_bytes(view.in, view.layout.bits),
          .sums = false,
          .int8 = true,
          .columns = &column_code(view.layout.bits)};
}

}  // namespace

const Codec& column_trellis_codec() {
  static const Codec codec = {.name = "column-trellis",
                              .keys = {bits_key(), input_scales_key(), rotation_key()},
                              .since = since,
                              .check = check,
                              .parts = parts,
                              .read_row = read_row,
                              .describe = words,
                              .facts = facts,
                              .kernels = "columns"};
  return codec;
}

}  // namespace karat
