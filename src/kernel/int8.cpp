#include "kernel/int8.h"

namespace karat {

static_assert(kInt8Block == kCodeBlock);

bool takes_int8(const MatrixView& m) {
  return m.int8;
}

std::int64_t int8_scale(const MatrixView& m, std::int64_t i) {
  if (m.bits == 8) return i % 32 / 4;
  return m.bits == 2 ? i / 16 : i % 64 / 8;
}

}  // namespace karat
