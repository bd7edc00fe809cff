// format trellis: a code alone says nothing; with those after it, it makes a state of 16 bits, from
// which the value is computed, ŵ = scale·value (QTIP, arXiv 2406.11235). Variants: how it is.
#include <fmt/format.h>

#include "format/codec/trellis/stream.h"
#include "format/parts.h"
#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "format/shared/scaled.h"
#include "karat/error.h"

namespace karat {
namespace {

constexpr const char* kCodes = "1mad, 3inst or 1mad12";

TrellisCode code_of(const PackedLayout& layout) {
  return find_trellis_code(layout.variant).value();
}

Key code_key() {
  return {.name = "code",
          .get = [](const PackedLayout& layout) -> KeyValue { return layout.variant; },
          .set =
              [](PackedLayout& layout, const KeyValue& value) {
                layout.variant = std::get<std::string>(value);
                if (!find_trellis_code(layout.variant))
                  fail("read quantization_config, \"code\"",
                       fmt::format("\"{}\"", layout.variant.substr(0, 60)), kCodes, kUpgrade);
              }};
}

Since since(const PackedLayout& layout) {
  return layout.bits == 5 ? Since{5, " of 5 bits"} : Since{3};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4, 5};
  check_bits(where, layout, kWidths, "2 to 5 for a trellis");
  refuse_symmetric(where, layout);
  if (layout.group != 0) fail(where, fmt::format("groups of {} in a trellis", layout.group), "0");
  if (!find_trellis_code(layout.variant))
    fail(where, fmt::format("trellis code \"{}\"", layout.variant), kCodes);
}

std::vector<std::byte> pack_tiles(const std::string& tensor, const PackedMatrix& m) {
  expect_size(tensor, m.codes.size(), m.out * m.in);
  expect_codes(tensor, m.codes, code_limit(m.layout));
  const int bits = m.layout.bits;
  const TrellisTiles tiles{m.out, m.in, bits};
  std::vector<std::byte> bytes(static_cast<std::size_t>(tiles.bytes()));
  for (std::int64_t i = 0; i < tiles.count(); ++i) {
    const TrellisTile tile = tiles.at(i);
    for (std::int64_t t = 0; t < tile.size(); ++t)
      write_bits(bytes.data() + tile.byte, t * bits, bits,
                 m.codes[(tile.row + t / tile.columns) * m.in + tile.column + t % tile.columns]);
  }
  return bytes;
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  return {
      {"codes",
       DType::u8,
       {TrellisTiles{out, in, layout.bits}.bytes()},
       &PackedView::codes,
       pack_tiles},
      halves_part("scales", {out, layout.groups(in)}, &PackedView::scales, &PackedMatrix::scales)};
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const TrellisTiles tiles{view.out, view.in, view.layout.bits};
  const float* values = trellis_values(code_of(view.layout));
  const float scale = half_at(view.scales, row);
  for (std::int64_t i = 0; i < tiles.across(); ++i) {
    const TrellisTile tile = tiles.at(row / kTileSide * tiles.across() + i);
    const std::int64_t first = (row - tile.row) * tile.columns;
    const auto code_at = [&](std::int64_t t) {
      return read_bits(view.codes.data + tile.byte, t * tiles.bits, tiles.bits);
    };
    for (std::int64_t t = first; t < first + tile.columns; ++t)
      *w++ = scale * values[trellis_state(t, tile.size(), tiles.bits, code_at)];
  }
}

std::string words(const PackedLayout& layout) {
  return fmt::format("{}-bit {} {}", layout.bits, layout.format, layout.variant);
}

CodeFacts facts(const PackedView& view) {
  return {.variant = static_cast<int>(code_of(view.layout))};
}

}  // namespace

const Codec& trellis_codec() {
  static const Codec codec = {.name = "trellis",
                              .keys = {code_key(), bits_key(), input_scales_key(), rotation_key()},
                              .since = since,
                              .check = check,
                              .parts = parts,
                              .read_row = read_row,
                              .describe = words,
                              .facts = facts,
                              .kernels = "trellis"};
  return codec;
}

}  // namespace karat
