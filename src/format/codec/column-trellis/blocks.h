// 5-bit codes in blocks of 128 inputs (docs/format.md, section 10), one code at a time: the oracle
// of the kernels that unpack a block at once.
#pragma once

#include "format/parts.h"

namespace karat {

inline constexpr std::int64_t kFiveBlockBytes = 80;

/// Where the high bit of input i < 128 lies in its block: above the four low bits of all, which
/// lie as 4-bit codes do.
inline std::int64_t high_bit_in_block(std::int64_t i) {
  const std::int64_t pair = i % 64 / 2;
  return 8 * (64 + pair % 16) + pair / 16 * 4 + i / 64 * 2 + i % 2;
}

/// Code i of a row of `in` codes that begins at `row`; what follows the last whole block is a
/// stream.
inline unsigned read_five_code(const std::byte* row, std::int64_t in, std::int64_t i) {
  const std::int64_t block = i / kCodeBlock, at = i % kCodeBlock;
  if (block == in / kCodeBlock) return read_bits(row, i * 5, 5);
  const std::byte* from = row + block * kFiveBlockBytes;
  return read_bits(from, 4 * at, 4) | read_bits(from, high_bit_in_block(at), 1) << 4;
}

/// Writes it; the bits there must be 0.
inline void write_five_code(std::byte* row, std::int64_t in, std::int64_t i, int /*bits*/,
                            unsigned code) {
  const std::int64_t block = i / kCodeBlock, at = i % kCodeBlock;
  if (block == in / kCodeBlock) return write_bits(row, i * 5, 5, code);
  std::byte* to = row + block * kFiveBlockBytes;
  write_bits(to, 4 * at, 4, code & 15);
  write_bits(to, high_bit_in_block(at), 1, code >> 4);
}

}  // namespace karat
