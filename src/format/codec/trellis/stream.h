// Trellis-coded weights (QTIP, arXiv 2406.11235): a tile of 16 rows × 16 columns is a closed stream
// of codes, and each weight is computed from the 16 bits of the stream that begin at its own code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace karat {

/// How a value is computed from a state of 16 bits: the variants of a layout.
enum class TrellisCode : std::uint8_t { one_mad, three_inst, one_mad_12 };
std::string_view name_of(TrellisCode code);  // "1mad", "3inst", "1mad12"
std::optional<TrellisCode> find_trellis_code(std::string_view name);

inline constexpr std::int64_t kTileSide = 16;
inline constexpr int kStateBits = 16;

/// Values of all 2^16 states, before the layer's scale. Computed once.
const float* trellis_values(TrellisCode code);
/// How many of a state's bits, from the first on, its value depends on.
constexpr int value_bits(TrellisCode code) {
  return code == TrellisCode::one_mad_12 ? 12 : kStateBits;
}

/// The state at code `t` of a closed stream of n codes; code_at(i) is the i-th.
template <class CodeAt>
unsigned trellis_state(std::int64_t t, std::int64_t n, int bits, const CodeAt& code_at) {
  unsigned state = 0;
  for (int shift = 0; shift < kStateBits; shift += bits, t = t + 1 == n ? 0 : t + 1)
    state |= static_cast<unsigned>(code_at(t)) << shift;
  return state & 0xffffu;
}

/// Where a tile's stream lies. Tiles at the border have fewer rows or columns. Row by row in a
/// tile; tiles from left to right, then down; each begins at a byte.
struct TrellisTile {
  std::int64_t row, column;    // of its first weight
  std::int64_t rows, columns;  // at most 16
  std::int64_t byte;           // of codes

  std::int64_t size() const { return rows * columns; }
};
struct TrellisTiles {
  std::int64_t out, in;
  int bits;

  std::int64_t across() const { return (in + kTileSide - 1) / kTileSide; }
  std::int64_t count() const { return (out + kTileSide - 1) / kTileSide * across(); }
  TrellisTile at(std::int64_t index) const;
  std::int64_t bytes() const;  // of all tiles
  /// Of the tiles of `rows` rows that lie side by side.
  std::int64_t band_bytes(std::int64_t rows) const;
};

}  // namespace karat
