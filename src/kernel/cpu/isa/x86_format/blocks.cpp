// Matrices of a GGUF type: blocks become floats through their own decoder, and are then multiplied.
#include "kernel/cpu/isa/x86_tile.h"

namespace karat::KARAT_ISA {
namespace {

/// Weights [begin, end) of a row, whole blocks, to `w`.
void decode(const MatrixView& m, std::int64_t row, std::int64_t begin, std::int64_t end, float* w) {
  const std::int64_t bytes = m.row_bytes / m.groups;
  const std::byte* blocks = m.codes + row * m.row_bytes;
  for (std::int64_t i = begin; i < end; i += m.group)
    m.decode(blocks + i / m.group * bytes, w + (i - begin));
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  alignas(64) float w[kInputs];
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    __m256 sum = _mm256_setzero_ps();
    for (std::int64_t begin = 0; begin < m.in; begin += kInputs) {
      const std::int64_t end = least(begin + kInputs, m.in);
      decode(m, row, begin, end, w);
      for (std::int64_t i = begin; i < end; i += kLanes)  // blocks are whole registers
        sum = _mm256_fmadd_ps(_mm256_load_ps(w + (i - begin)), _mm256_loadu_ps(input.x + i), sum);
    }
    y[row] = sum_lanes(sum);
  }
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  for (std::int64_t r = 0; r < rows; ++r) decode(m, row + r, begin, end, tile.w[r]);
}

}  // namespace

extern const FormatKernels blocks_kernels;
const FormatKernels blocks_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
