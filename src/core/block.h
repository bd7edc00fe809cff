// Block types: the ways in which GGUF files store weights. A row is cut into blocks of `values`
// weights, and a block is `bytes` bytes that are read alone. A type is src/core/block/<name>.cpp
// with `const BlockType& <name>_block()`, found by its file name. The layouts are those of ggml
// (github.com/ggml-org/ggml, ggml-common.h); what each decodes to equals, bit for bit, what the
// Python package gguf computes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "karat/tensor_view.h"

namespace karat {

struct BlockType {
  std::string_view name;  // "Q4_K"
  std::uint32_t id;       // the type's number in GGUF files
  std::int64_t values, bytes;
  void (*decode)(const std::byte* block, float* w);  // writes `values` weights
};

/// By name. Written by cmake/registry.cmake from the file names in src/core/block.
const std::map<std::string, const BlockType& (*)()>& block_table();
const BlockType* find_block_type(std::uint32_t id);  // nullptr: there is none of that number

/// Writes the weights of the whole blocks at `data` to `w`; `count` is a multiple of type.values.
void decode_blocks(const BlockType& type, const std::byte* data, std::int64_t count, float* w);

/// "GGUF Q4_K" tensors as views: `shape`'s last extent is a multiple of type.values.
TensorView block_view(std::string name, const BlockType& type, std::vector<std::int64_t> shape,
                      const std::byte* data);

/// What decoders read: unaligned, little-endian.
namespace block {

inline unsigned u8(const std::byte* at, std::int64_t i) {
  return std::to_integer<unsigned>(at[i]);
}
inline int i8(const std::byte* at, std::int64_t i) {
  return static_cast<std::int8_t>(u8(at, i));
}
inline unsigned nibble(const std::byte* at, std::int64_t i) {  // the low one of each byte first
  return u8(at, i / 2) >> 4 * (i % 2) & 15;
}
inline unsigned u16(const std::byte* at, std::int64_t i) {
  return u8(at, 2 * i) | u8(at, 2 * i + 1) << 8;
}
inline std::uint32_t u32(const std::byte* at, std::int64_t i) {
  return u16(at, 2 * i) | static_cast<std::uint32_t>(u16(at, 2 * i + 1)) << 16;
}
inline float half(const std::byte* at) {
  return f16_to_float(static_cast<std::uint16_t>(u16(at, 0)));
}
/// Signs of eight weights from seven bits: their number is even, so the last one follows.
inline unsigned even_signs(unsigned bits) {
  return bits | static_cast<unsigned>(std::popcount(bits) & 1) << 7;
}

}  // namespace block
}  // namespace karat
