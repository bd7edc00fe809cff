#include "kernel/int8.h"

namespace karat {

bool takes_int8(const MatrixView& m) {
  return m.store == MatrixView::Store::packed && !m.trellis && !m.bilevel && m.tables == nullptr &&
         m.values == nullptr && m.bits < 8 && (m.bits != 3 || m.blocks) &&
         (m.groups == 1 || m.group % kInt8Block == 0);
}

std::int64_t int8_scale(const MatrixView& m, std::int64_t i) {
  return m.bits == 2 ? i / 16 : i % 64 / 8;
}

}  // namespace karat
