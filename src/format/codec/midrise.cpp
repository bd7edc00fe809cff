// format midrise: evenly spaced values without a zero, ŵ = scale·(code − (2^bits − 1)/2), a row
// having one scale, of FP32: what training through a quantizer found, to the last bit. Its kernels
// are those of uniform codes of scale 1, which the row's own scale is multiplied with afterwards.
#include "format/codec/uniform/blocks.h"
#include "format/shared/code_parts.h"
#include "format/shared/keys.h"
#include "format/shared/scaled.h"

namespace karat {
namespace {

Since since(const PackedLayout&) {
  return {8};
}

void check(const std::string& where, const PackedLayout& layout) {
  constexpr int kWidths[] = {2, 3, 4, 5, 6, 8};
  refuse_variant(where, layout);
  check_bits(where, layout, kWidths, "2, 3, 4, 5, 6 or 8");
  refuse_symmetric(where, layout);
  refuse_groups(where, layout);
}

float middle(const PackedLayout& layout) {
  return static_cast<float>((1 << layout.bits) - 1) / 2;
}

std::vector<Part> parts(const PackedLayout& layout, std::int64_t out, std::int64_t in) {
  return {code_rows_part(layout, out, in,
                         needs_blocks(layout.bits) ? write_block_code : write_stream_code),
          row_scales_part(out)};
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  const int bits = view.layout.bits;
  const std::byte* codes = view.codes.data + row * row_bytes(view.in, bits);
  for (std::int64_t i = 0; i < view.in; ++i)
    w[i] = static_cast<float>(read_row_code(codes, view.in, i, bits)) - middle(view.layout);
}

CodeFacts facts(const PackedView& view) {
  return {.row_bytes = row_bytes(view.in, view.layout.bits),
          .fixed_zero = middle(view.layout),
          .variant = needs_blocks(view.layout.bits) ? 1 : 0,
          .always_symmetric = true,
          .int8 = true};
}

}  // namespace

const Codec& midrise_codec() {
  static const Codec codec = {
      .name = "midrise",
      .keys = {bits_key(), hadamard_key(), input_grid_key(), input_bits_key()},
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
