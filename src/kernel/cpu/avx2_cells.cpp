// Attention's two products, queries × keys and probabilities × values: up to 4 rows by 16 columns
// of sums stay in registers while the cells are read once, in order, and made floats.
#if defined(__AVX2__)
#include "kernel/cpu/avx2.h"

namespace karat::avx2 {
namespace {

using Cell = CellBlock::Cell;

template <Cell cell>
inline __m256 load_cells(const std::byte* data, std::int64_t i) {
  if constexpr (cell == Cell::f32)
    return _mm256_loadu_ps(reinterpret_cast<const float*>(data + 4 * i));
  if constexpr (cell == Cell::f16) return load_halves(data + 2 * i);
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(data + i));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

/// `rows` rows × `vectors` · 8 columns from `column`.
template <Cell cell, int rows, int vectors>
inline void add_tile(const CellBlock& b, std::int64_t column, std::int64_t k, const float* a,
                     std::int64_t a_stride, float* c, std::int64_t c_stride) {
  __m256 sums[rows][vectors];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v)
    sums[r][v] = _mm256_loadu_ps(c + r * c_stride + column + v * kLanes);
  for (std::int64_t i = 0; i < k; ++i) {
    __m256 cells[vectors];
    KARAT_UNROLL
    for (int v = 0; v < vectors; ++v)
      cells[v] = load_cells<cell>(b.data, i * b.columns + column + v * kLanes);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const __m256 factor = _mm256_broadcast_ss(a + r * a_stride + i);
      KARAT_UNROLL
      for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_fmadd_ps(factor, cells[v], sums[r][v]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v)
    _mm256_storeu_ps(c + r * c_stride + column + v * kLanes, sums[r][v]);
}

template <Cell cell, int rows>
inline void add_rows(const CellBlock& b, std::int64_t k, const float* a, std::int64_t a_stride,
                     float* c, std::int64_t c_stride) {
  std::int64_t column = 0;
  for (; column + 2 * kLanes <= b.columns; column += 2 * kLanes)
    add_tile<cell, rows, 2>(b, column, k, a, a_stride, c, c_stride);
  if (column < b.columns) add_tile<cell, rows, 1>(b, column, k, a, a_stride, c, c_stride);
}

template <Cell cell>
void add_cells(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
               std::int64_t a_stride, float* c, std::int64_t c_stride) {
  for (; rows >= 4; rows -= 4, a += 4 * a_stride, c += 4 * c_stride)
    add_rows<cell, 4>(b, k, a, a_stride, c, c_stride);
  if (rows == 3) add_rows<cell, 3>(b, k, a, a_stride, c, c_stride);
  if (rows == 2) add_rows<cell, 2>(b, k, a, a_stride, c, c_stride);
  if (rows == 1) add_rows<cell, 1>(b, k, a, a_stride, c, c_stride);
}

}  // namespace

void multiply_add(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
                  std::int64_t a_stride, float* c, std::int64_t c_stride) {
  if (b.cell == Cell::f32) return add_cells<Cell::f32>(b, k, rows, a, a_stride, c, c_stride);
  if (b.cell == Cell::f16) return add_cells<Cell::f16>(b, k, rows, a, a_stride, c, c_stride);
  add_cells<Cell::i8>(b, k, rows, a, a_stride, c, c_stride);
}

}  // namespace karat::avx2
#endif
