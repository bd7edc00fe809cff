#include "format/codec/trellis/stream.h"

#include <array>
#include <memory>

#include "format/parts.h"

namespace karat {
namespace {

constexpr std::string_view kNames[] = {"1mad", "3inst", "1mad12"};  // in the order of TrellisCode

/// A linear congruence and the sum of its four bytes, near normal by the central limit.
float one_mad(std::uint32_t state) {
  const std::uint32_t x = 34038481u * state + 76625530u;
  const std::uint32_t sum = (x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24);
  return (static_cast<float>(sum) - 510) / 147.8005f;
}

/// Two halves whose signs, mantissas and low exponent bits come from a linear congruence.
float three_inst(std::uint32_t state) {
  const std::uint32_t x = 89226354u * state + 64248484u;
  const std::uint32_t halves = (x & 0x8fff8fffu) ^ 996162400u;
  return f16_to_float(static_cast<std::uint16_t>(halves >> 16)) +
         f16_to_float(static_cast<std::uint16_t>(halves & 0xffffu));
}

/// A search through 2^12 states takes a 16th of the time and finds values a little farther away.
float one_mad_12(std::uint32_t state) {
  return one_mad(state & 0xfff);
}

using Values = std::array<float, std::size_t{1} << kStateBits>;
std::unique_ptr<const Values> tabulate(float (*value)(std::uint32_t)) {
  auto values = std::make_unique<Values>();
  for (std::uint32_t state = 0; state < values->size(); ++state) (*values)[state] = value(state);
  return values;
}

}  // namespace

std::string_view name_of(TrellisCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

std::optional<TrellisCode> find_trellis_code(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return std::nullopt;
  return static_cast<TrellisCode>(found - std::begin(kNames));
}

const float* trellis_values(TrellisCode code) {
  static const std::unique_ptr<const Values> values[] = {tabulate(one_mad), tabulate(three_inst),
                                                         tabulate(one_mad_12)};
  return values[static_cast<std::size_t>(code)]->data();
}

std::int64_t TrellisTiles::band_bytes(std::int64_t rows) const {
  return in / kTileSide * (2 * rows * bits) + row_bytes(rows * (in % kTileSide), bits);
}

std::int64_t TrellisTiles::bytes() const {
  return out / kTileSide * band_bytes(kTileSide) + band_bytes(out % kTileSide);
}

TrellisTile TrellisTiles::at(std::int64_t index) const {
  TrellisTile tile{.row = index / across() * kTileSide,
                   .column = index % across() * kTileSide,
                   .rows = 0,
                   .columns = 0,
                   .byte = 0};
  tile.rows = std::min(kTileSide, out - tile.row);
  tile.columns = std::min(kTileSide, in - tile.column);
  tile.byte =
      tile.row / kTileSide * band_bytes(kTileSide) + index % across() * 2 * tile.rows * bits;
  return tile;
}

}  // namespace karat
