// The matrices that docs/format.md shows, for tests.
#pragma once

#include "format/random_matrix.h"

namespace karat {

inline constexpr std::uint16_t kHalf = 0x3800, kQuarter = 0x3400, kOne = 0x3c00, kTwo = 0x4000;

inline PackedMatrix plain_example() {
  PackedMatrix m = empty_matrix({.bits = 3, .group = 8}, 2, 9);
  m.codes = {0, 1, 2, 3, 4, 5, 6, 7, 1, 7, 6, 5, 4, 3, 2, 1, 0, 6};
  m.scales = {kHalf, kQuarter, kOne, kTwo};
  m.zeros = {kTwo, kOne, 0x4300, 0xbc00};  // 2, 1, 3.5, −1
  m.overlay = {{0, 1, 3}, {8, 0, 7}, {kOne, 0xb800, kQuarter}};
  return m;
}
inline PackedMatrix bilevel_example() {
  PackedMatrix m = empty_matrix({.variant = "bilevel", .bits = 2, .group = 4}, 3, 4);
  m.codes = {0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 2, 2};
  m.scale_codes = {5, 6, 7};
  m.zero_codes = {1, 0, 4};
  m.scale_stats = {kQuarter, kOne};
  m.zero_stats = {kHalf, 0xbc00};
  return m;
}

inline PackedMatrix nf4_example() {
  PackedMatrix m = empty_matrix({.format = "nf4", .bits = 4, .group = 4}, 2, 5);
  m.codes = {0, 1, 7, 15, 8, 15, 7, 14, 0, 3};
  m.scales = {kOne, kHalf, kTwo, kQuarter};
  m.zeros = {0, kOne, 0xbc00, kHalf};
  return m;
}
inline PackedMatrix lut_example() {
  PackedMatrix m = empty_matrix({.format = "lut", .bits = 2, .group = 0}, 2, 4);
  m.codes = {0, 1, 2, 3, 3, 3, 0, 2};
  m.tables = {0xbc00, 0xb400, kHalf, kTwo, 0x4400, 0, kOne, 0xb800};  // −1 −¼ ½ 2, 4 0 1 −½
  m.overlay = {{0, 0, 1}, {2}, {kOne}};
  return m;
}

inline PackedMatrix trellis_example() {
  PackedMatrix m =
      empty_matrix({.format = "trellis", .variant = "1mad", .bits = 2, .group = 0}, 1, 18);
  m.codes = {0, 1, 2, 3, 3, 2, 1, 0, 0, 0, 1, 1, 2, 2, 3, 3, 1, 2};
  m.scales = {kHalf};
  return m;
}
inline PackedMatrix column_trellis_example() {
  PackedMatrix m = empty_matrix({.format = "column-trellis", .bits = 4, .group = 0}, 5, 3);
  m.codes = {0, 1, 15, 7, 8, 2, 12, 3, 9, 5, 14, 6, 10, 4, 11};
  m.scales = {kOne, kHalf, kTwo, kOne, kHalf};
  return m;
}
inline PackedMatrix five_bits_example() {
  PackedMatrix m = empty_matrix({.format = "column-trellis", .bits = 5, .group = 0}, 1, 130);
  for (int i = 0; i < 130; ++i) m.codes.push_back(static_cast<std::uint8_t>((7 * i + i / 9) % 32));
  m.scales = {kOne};
  return m;
}
inline PackedMatrix rotated_example() {
  PackedMatrix m = empty_matrix({.bits = 2, .group = 0, .symmetric = true, .rotation = 7}, 2, 6);
  m.codes = {0, 1, 2, 3, 3, 2, 1, 2, 2, 2, 0, 3};
  m.scales = {kOne, kTwo};
  return m;
}
inline PackedMatrix midrise_example() {
  PackedMatrix m = empty_matrix({.format = "midrise", .bits = 4, .group = 0, .hadamard = 4}, 2, 4);
  m.codes = {0, 5, 10, 15, 8, 8, 7, 7};
  m.row_scales = {0.5f, 0.25f};
  return m;
}
inline PackedMatrix blocks_example() {
  PackedMatrix m =
      empty_matrix({.variant = "blocks", .bits = 3, .group = 128, .symmetric = true}, 1, 131);
  for (int i = 0; i < 131; ++i) m.codes.push_back(static_cast<std::uint8_t>((5 * i + i / 7) % 8));
  m.scales = {kHalf, kTwo};
  return m;
}
/// Of 5 or 6 bits.
inline PackedMatrix wide_example(int bits) {
  PackedMatrix m =
      empty_matrix({.variant = "blocks", .bits = bits, .group = 128, .symmetric = true}, 1, 130);
  for (int i = 0; i < 130; ++i)
    m.codes.push_back(static_cast<std::uint8_t>((7 * i + i / 5) % (1 << bits)));
  m.scales = {kHalf, kTwo};
  return m;
}

}  // namespace karat
