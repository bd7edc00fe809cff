// Attention's two products, queries × keys and probabilities × values: up to 4 rows by kTile
// registers of sums stay in registers while the cells are read once, in order, and made floats.
#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t size_of(Cell cell) {
  return cell == Cell::f32 ? 4 : cell == Cell::f16 ? 2 : 1;
}

constexpr int kTile = Wide::kLanes > kLanes ? 4 : 2;  // AVX-512 has twice as many registers
constexpr std::int64_t kAhead = 64;  // rows, a block of keys: hardware stops to look at its end

/// `rows` rows × `vectors` registers from `column`.
template <class W, Cell cell, int rows, int vectors>
inline void add_tile(const CellBlock& b, std::int64_t column, std::int64_t k, const float* a,
                     std::int64_t a_stride, float* c, std::int64_t c_stride) {
  typename W::Vector sums[rows][vectors];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v) sums[r][v] = W::load(c + r * c_stride + column + v * W::kLanes);
  for (std::int64_t i = 0; i < k; ++i) {
    typename W::Vector cells[vectors];
    KARAT_UNROLL
    for (int v = 0; v < vectors; v += 2)
      __builtin_prefetch(
          b.data + ((i + kAhead) * b.columns + column + v * W::kLanes) * size_of(cell), 0, 2);
    KARAT_UNROLL
    for (int v = 0; v < vectors; ++v)
      cells[v] = W::template load_cells<cell>(b.data, i * b.columns + column + v * W::kLanes);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const typename W::Vector factor = W::all(a[r * a_stride + i]);
      KARAT_UNROLL
      for (int v = 0; v < vectors; ++v) sums[r][v] = fma(factor, cells[v], sums[r][v]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v) W::store(c + r * c_stride + column + v * W::kLanes, sums[r][v]);
}

template <Cell cell, int rows>
inline void add_rows(const CellBlock& b, std::int64_t k, const float* a, std::int64_t a_stride,
                     float* c, std::int64_t c_stride) {
  std::int64_t column = 0;
  for (; column + kTile * Wide::kLanes <= b.columns; column += kTile * Wide::kLanes)
    add_tile<Wide, cell, rows, kTile>(b, column, k, a, a_stride, c, c_stride);
  for (; column + Wide::kLanes <= b.columns; column += Wide::kLanes)
    add_tile<Wide, cell, rows, 1>(b, column, k, a, a_stride, c, c_stride);
  if (column < b.columns) add_tile<Narrow, cell, rows, 1>(b, column, k, a, a_stride, c, c_stride);
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

}  // namespace karat::KARAT_ISA
