#include "kernel/int8.h"

#include <algorithm>

namespace karat {

static_assert(kInt8Block == kCodeBlock);

bool takes_int8(const MatrixView& m) {
  return m.int8;
}

bool has_small_units(const MatrixView& m) {
  if (m.columns != nullptr) return false;
  const bool own = m.values != nullptr || m.tables != nullptr || m.scale_codes != nullptr;
  return own || (m.groups > 1 && m.group % kInt8Block != 0);
}

std::int64_t int8_unit(const MatrixView& m) {
  constexpr std::int64_t kMost = kInt8Block / 2;
  if (!has_small_units(m)) return kInt8Block;
  const std::int64_t two = m.group & -m.group;  // the largest power of two that divides it
  return m.groups == 1 && m.scale_codes == nullptr ? kMost : std::min(two, kMost);
}

bool scales_in_rows(const MatrixView& m) {
  return m.scale_codes != nullptr && m.group % 16 == 0;
}

std::int64_t int8_scale(const MatrixView& m, std::int64_t i) {
  if (scales_in_rows(m)) return i / 16;
  if (m.bits == 8) return i % 32 / 4;
  return m.bits == 2 ? i / 16 : i % 64 / 8;
}

}  // namespace karat
