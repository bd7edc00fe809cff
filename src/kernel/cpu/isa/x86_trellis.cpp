// One token (decode) with trellis-coded weights. A tile's 16 rows share the loads of x; the zero of
// 1MAD, the same for all weights, comes off at the end through Σ x.
#include "kernel/cpu/isa/x86_trellis.h"
#include "kernel/cpu/isa/outliers.h"

namespace karat::KARAT_ISA {
namespace {

template <class Code, int bits>
inline void whole_tiles(const MatrixView& m, std::int64_t row, std::int64_t rows, const float* x,
                        __m256* acc) {
  const std::byte* tile = band(m, row);
  for (std::int64_t i = 0; i + kRows <= m.in; i += kRows, tile += 2 * rows * bits) {
    const __m256 low = _mm256_loadu_ps(x + i), high = _mm256_loadu_ps(x + i + kLanes);
    for_rows<Code, bits>(tile, rows, [&](std::int64_t r, __m256 a, __m256 b) {
      acc[r] = _mm256_fmadd_ps(b, high, _mm256_fmadd_ps(a, low, acc[r]));
    });
  }
}

/// Adds the last tile's products where it has fewer than 16 columns.
template <class Code, int bits>
void last_tile(const MatrixView& m, std::int64_t row, std::int64_t rows, const float* x,
               __m256* acc) {
  const std::int64_t columns = m.in % kRows, first = m.in - columns;
  if (columns == 0) return;
  alignas(32) float w[kRows][kRows];
  narrow_tile<Code>(band(m, row) + first / kRows * (2 * rows * bits), rows, columns, bits, w);
  for (std::int64_t i = 0; i < columns; i += kLanes) {
    const __m256 xs = _mm256_maskload_ps(x + first + i, first_lanes(least(columns - i, kLanes)));
    for (std::int64_t r = 0; r < rows; ++r)
      acc[r] = _mm256_fmadd_ps(_mm256_load_ps(w[r] + i), xs, acc[r]);
  }
}

template <class Code, int bits>
void trellis_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                  std::int64_t row_end) {
  const float zero = Code::kZero * *input.group_sums;
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, m.out - row);
    __m256 acc[kRows];
    for (std::int64_t r = 0; r < kRows; ++r) acc[r] = _mm256_setzero_ps();
    whole_tiles<Code, bits>(m, row, rows, input.x, acc);
    last_tile<Code, bits>(m, row, rows, input.x, acc);
    for (std::int64_t r = 0; r < least(rows, row_end - row); ++r)
      y[row + r] = load_half(m.scales, row + r) * Code::kStep * (sum_lanes(acc[r]) - zero) +
                   outlier_dot(m, row + r, input.x);
  }
}

}  // namespace

void multiply_trellis(const MatrixView& m, const KernelInput& input, float* y,
                      std::int64_t row_begin, std::int64_t row_end) {
  with_code(m, [&](auto code, auto bits) {
    trellis_rows<decltype(code), decltype(bits)::kBits>(m, input, y, row_begin, row_end);
  });
}

}  // namespace karat::KARAT_ISA
