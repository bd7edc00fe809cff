// Formats whose 4-bit codes stand for the values of a fixed list: ŵ = scale·(value[code] − zero).
#pragma once

#include <array>

#include "format/codec.h"

namespace karat {

using ListValues = std::array<float, 16>;

/// ±magnitudes and 0, ascending; code 15, which nobody writes, has the last value again.
constexpr ListValues mirrored(const std::array<float, 7>& magnitudes) {  // ascending
  ListValues values = {};
  for (std::size_t i = 0; i < 7; ++i) {
    values[6 - i] = -magnitudes[i];
    values[8 + i] = magnitudes[i];
  }
  values[15] = values[14];
  return values;
}

/// `values` lives as long as the codec.
Codec list_codec(std::string_view name, const ListValues& values);

}  // namespace karat
