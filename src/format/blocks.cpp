#include "format/blocks.h"

#include "core/block.h"
#include "karat/error.h"

namespace karat {
namespace {

std::int64_t bytes_of_row(const PackedView& view) {
  const BlockType& type = *view.codes.block;
  return view.in / type.values * type.bytes;
}

void read_row(const PackedView& view, std::int64_t row, float* w) {
  decode_blocks(*view.codes.block, view.codes.data + row * bytes_of_row(view), view.in, w);
}

CodeFacts facts(const PackedView& view) {
  const BlockType& type = *view.codes.block;
  return {.row_bytes = bytes_of_row(view),
          .variant = static_cast<int>(type.id),
          .sums = false,
          .decode = type.decode};
}

void check(const std::string& where, const PackedLayout&) {
  fail(where, "a type of GGUF", "a format of Karat's own");
}

}  // namespace

const Codec& blocks_codec() {
  static const Codec codec{
      .name = "gguf",
      .keys = {},
      .since = [](const PackedLayout&) { return Since{}; },
      .check = check,
      .parts = [](const PackedLayout&, std::int64_t, std::int64_t) { return std::vector<Part>(); },
      .read_row = read_row,
      .describe = [](const PackedLayout&) { return std::string("GGUF"); },
      .facts = facts,
      .kernels = "blocks"};
  return codec;
}

PackedView blocks_view(const TensorView& matrix) {
  PackedView view;
  view.layout = {.format = "gguf", .bits = 8, .group = matrix.block->values, .symmetric = true};
  view.codec = &blocks_codec();
  view.out = matrix.shape[0];
  view.in = matrix.shape[1];
  view.codes = matrix;
  return view;
}

}  // namespace karat
