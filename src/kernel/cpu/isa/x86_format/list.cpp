// Codes of 4 bits that stand for the values of a list.
#include "kernel/cpu/isa/x86_scaled.h"
#include "kernel/cpu/isa/x86_tile.h"

namespace karat::KARAT_ISA {
namespace {

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  packed_rows(load_list(m.values), m, input, y, row_begin, row_end);
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  unpack_scaled(load_list(m.values), m, row, rows, begin, end, tile);
}

}  // namespace

extern const FormatKernels list_kernels;
const FormatKernels list_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
