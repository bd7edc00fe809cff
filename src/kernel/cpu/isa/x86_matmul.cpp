// Which of the x86 units multiplies.
#include "kernel/cpu/isa/x86.h"
#include "kernel/reference/reference.h"

namespace karat::KARAT_ISA {

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  const bool packed = m.store == MatrixView::Store::packed, one = input.tokens == 1;
  const FormatKernels* format = format_of(m, input);
  if (packed && format == nullptr) return reference::matmul(m, input, y, row_begin, row_end);
  if (one && !packed) return multiply_dense(m, input, y, row_begin, row_end);
  // One token needs groups that begin at whole bytes; other groups go through the unpacked tile.
  if (one && (m.groups == 1 || m.group % 8 == 0))
    return format->one(m, input, y, row_begin, row_end);
  multiply_many(m, input, y, row_begin, row_end);
}

}  // namespace karat::KARAT_ISA
