// The parts of a packed layer, which its format's codec names, with what every format has beside
// them. Specified in docs/format.md.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/codec.h"

namespace karat {

/// The parts of a layer but its overlay, in the order of the file.
std::vector<Part> layout_parts(const PackedLayout& layout, std::int64_t out, std::int64_t in);
/// The names and places of all that any layout has.
struct NamedPart {
  std::string_view name;
  TensorView PackedView::*view;
};
std::span<const NamedPart> all_parts();

/// What a layout is in words, "3-bit g16 bilevel scaled".
std::string describe(const PackedLayout& layout);

/// Throws unless the layout is one that docs/format.md allows and 1 <= out, in <= 2^31 − 1.
void check_layout(const std::string& name, const PackedLayout& layout, std::int64_t out,
                  std::int64_t in);
/// The same for a layout alone; `where` begins the message.
void check_layout(const std::string& where, const PackedLayout& layout);

inline constexpr std::int64_t kBilevelBytes = kBilevelRows * kBilevelBits / 8;  // 6: 16 rows
inline constexpr std::int64_t kMaxOverlayInputs = 65536;                        // U16 columns
inline constexpr std::int64_t kMaxHadamard = 1 << 20;
inline constexpr std::int64_t kMaxRotationOdd = 4095;  // rotating takes its square of steps

inline std::int64_t row_bytes(std::int64_t in, int bits) {
  return (in * bits + 7) / 8;
}
inline std::int64_t row_blocks(std::int64_t out) {
  return (out + kBilevelRows - 1) / kBilevelRows;
}

/// Element i of unaligned little-endian 16-bit data.
inline std::uint16_t load_u16(const std::byte* data, std::int64_t i) {
  std::uint16_t value;
  std::memcpy(&value, data + 2 * i, 2);
  return value;
}

/// Element i of an F16 tensor.
inline float half_at(const TensorView& view, std::int64_t i) {
  return f16_to_float(load_u16(view.data, i));
}

/// `bits` bits at bit `offset` of an LSB-first stream; at most 8, so at most two bytes are read.
inline unsigned read_bits(const std::byte* data, std::int64_t offset, int bits) {
  const auto at = [&](std::int64_t i) { return std::to_integer<unsigned>(data[i]); };
  const std::int64_t byte = offset / 8;
  const int shift = static_cast<int>(offset % 8);
  unsigned value = at(byte) >> shift;
  if (shift + bits > 8) value |= at(byte + 1) << (8 - shift);
  return value & ((1u << bits) - 1);
}

/// Writes them; the bits there must be 0.
inline void write_bits(std::byte* data, std::int64_t offset, int bits, unsigned value) {
  const std::int64_t byte = offset / 8;
  const int shift = static_cast<int>(offset % 8);
  data[byte] |= static_cast<std::byte>(value << shift & 0xffu);
  if (shift + bits > 8) data[byte + 1] |= static_cast<std::byte>(value >> (8 - shift));
}

}  // namespace karat
