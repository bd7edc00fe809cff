// Codes of 3, 5 and 6 bits in blocks of 128 inputs (docs/format.md, section 2), one code at a time:
// the oracle of the kernels that unpack a block at once.
#pragma once

#include "format/parts.h"

namespace karat {

/// The variants of a uniform layout.
inline constexpr std::string_view kBilevel = "bilevel", kBlocks = "blocks",
                                  kBilevelBlocks = "bilevel blocks";

inline bool is_bilevel(const PackedLayout& layout) {
  return layout.variant == kBilevel || layout.variant == kBilevelBlocks;
}
inline bool in_blocks(const PackedLayout& layout) {
  return layout.variant == kBlocks || layout.variant == kBilevelBlocks;
}

/// Whether a layout's codes may lie in blocks: it is one that the 8-bit kernels read, whatever the
/// width of the layer.
inline bool may_have_blocks(const PackedLayout& layout) {
  constexpr std::int64_t kEight = 8;  // inputs: a group's codes fill whole bytes
  const bool bits = layout.bits == 3 || layout.bits == 5 || layout.bits == 6;
  return layout.format == "uniform" && bits && layout.group % kEight == 0;
}
/// The same layout, its codes in blocks where they may.
PackedLayout with_blocks(PackedLayout layout);

/// Where the bits of a code lie in its block: `low` of them from bit `first` on, the rest from bit
/// `rest` on.
struct CodePlace {
  std::int64_t first;
  int low = 3;
  std::int64_t rest = 0;
};
/// Of input i < 128, 5 or 6 bits: four bits as at 4 bits, then, of eight or four inputs a byte, the
/// others.
inline CodePlace place_of_wide(std::int64_t i, int bits) {
  const std::int64_t byte = i % 64 / 2, quarter = i / 64 * 2 + i % 2;
  if (bits == 6) return {4 * i, 4, 8 * (64 + byte) + 2 * quarter};
  return {4 * i, 4, 8 * (64 + byte % 16) + 4 * (byte / 16) + quarter};
}
/// Of input i < 128. At 3 bits two inputs of the first half share a byte with the low bits of an
/// even one of the second half; its high bit lies above the code of the odd one.
inline CodePlace place_in_block(std::int64_t i, int bits) {
  if (bits != 3) return place_of_wide(i, bits);
  const std::int64_t pair = i % 64 / 2, byte = 8 * pair;
  if (i < 64) return {byte + 3 * (i % 2)};
  const std::int64_t nibble = 8 * (32 + pair % 16) + 4 * (pair / 16);
  return i % 2 == 1 ? CodePlace{nibble} : CodePlace{byte + 6, 2, nibble + 3};
}

/// Bytes of a block.
constexpr std::int64_t block_bytes(int bits) {
  return kCodeBlock * bits / 8;
}

/// Code i of a row of `in` codes that begins at `row`. Blocks take as many bits as a stream, so
/// what follows the last whole one lies where it would lie in a stream.
inline unsigned read_block_code(const std::byte* row, std::int64_t in, std::int64_t i, int bits) {
  const std::int64_t block = i / kCodeBlock;
  if (block == in / kCodeBlock) return read_bits(row, i * bits, bits);
  const CodePlace place = place_in_block(i % kCodeBlock, bits);
  const std::byte* at = row + block * block_bytes(bits);
  const unsigned low = read_bits(at, place.first, place.low);
  const int more = bits - place.low;
  return more == 0 ? low : low | read_bits(at, place.rest, more) << place.low;
}

/// Writes it; the bits there must be 0.
inline void write_block_code(std::byte* row, std::int64_t in, std::int64_t i, int bits,
                             unsigned code) {
  const std::int64_t block = i / kCodeBlock;
  if (block == in / kCodeBlock) return write_bits(row, i * bits, bits, code);
  const CodePlace place = place_in_block(i % kCodeBlock, bits);
  std::byte* at = row + block * block_bytes(bits);
  write_bits(at, place.first, place.low, code & ((1u << place.low) - 1));
  if (place.low < bits) write_bits(at, place.rest, bits - place.low, code >> place.low);
}

/// Of formats that have blocks for the widths that bytes do not hold whole numbers of, and a stream
/// for the others.
inline bool needs_blocks(int bits) {
  return 8 % bits != 0;
}
inline unsigned read_row_code(const std::byte* row, std::int64_t in, std::int64_t i, int bits) {
  return needs_blocks(bits) ? read_block_code(row, in, i, bits) : read_bits(row, i * bits, bits);
}

}  // namespace karat
