// Which of the x86 units multiplies.
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  // One token needs groups that begin at whole bytes; other groups go through the unpacked tile.
  const bool aligned = m.store != MatrixView::Store::packed || m.groups == 1 || m.group % 8 == 0;
  if (input.tokens == 1 && aligned) return multiply_one(m, input, y, row_begin, row_end);
  multiply_many(m, input, y, row_begin, row_end);
}

}  // namespace karat::KARAT_ISA
