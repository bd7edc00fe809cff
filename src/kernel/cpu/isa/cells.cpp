// Attention's two products, queries × keys and probabilities × values: up to 4 rows by some
// registers of sums stay in registers while the cells are read once, in order, and made floats.
#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

constexpr std::int64_t size_of(Cell cell) {
  return cell == Cell::f32 ? 4 : cell == Cell::f16 ? 2 : 1;
}

/// Registers side by side for so many rows: their sums are enough that none waits for the one
/// before it, and few enough to stay in registers. AVX-512 has twice as many, of twice the width.
constexpr int tile_of(int rows) {
  if (Wide::kLanes > kLanes) return 4;
  return rows == 1 ? 8 : rows == 4 ? 2 : 4;
}

/// `rows` rows × `vectors` registers from `column`. The next block is requested line by line, for
/// the hardware stops to look at the end of a page.
template <class W, Cell cell, int rows, int vectors>
inline void add_tile(const CellBlock& b, std::int64_t column, std::int64_t k, const float* a,
                     std::int64_t a_stride, float* c, std::int64_t c_stride) {
  constexpr std::int64_t kLine = 64 / size_of(cell);  // cells
  constexpr int step = kLine > W::kLanes ? kLine / W::kLanes : 1;
  typename W::Vector sums[rows][vectors];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v) sums[r][v] = W::load(c + r * c_stride + column + v * W::kLanes);
  for (std::int64_t i = 0; i < k; ++i) {
    KARAT_UNROLL
    for (int v = 0; v < vectors; v += step)
      __builtin_prefetch(b.next + (i * b.columns + column + v * W::kLanes) * size_of(cell), 0, 2);
    typename W::Vector factors[rows];
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) factors[r] = W::all(a[r * a_stride + i]);
    KARAT_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const auto cells =
          W::template load_cells<cell>(b.data, i * b.columns + column + v * W::kLanes);
      KARAT_UNROLL
      for (int r = 0; r < rows; ++r) sums[r][v] = fma(factors[r], cells, sums[r][v]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) KARAT_UNROLL
  for (int v = 0; v < vectors; ++v) W::store(c + r * c_stride + column + v * W::kLanes, sums[r][v]);
}

/// The columns from `column` on, `vectors` registers at a time; then those that are left.
template <Cell cell, int rows, int vectors>
inline void add_columns(const CellBlock& b, std::int64_t column, std::int64_t k, const float* a,
                        std::int64_t a_stride, float* c, std::int64_t c_stride) {
  constexpr std::int64_t width = vectors * Wide::kLanes;
  for (; column + width <= b.columns; column += width)
    add_tile<Wide, cell, rows, vectors>(b, column, k, a, a_stride, c, c_stride);
  if (column == b.columns) return;
  if constexpr (vectors > 1)
    add_columns<cell, rows, vectors / 2>(b, column, k, a, a_stride, c, c_stride);
  else
    add_tile<Narrow, cell, rows, 1>(b, column, k, a, a_stride, c, c_stride);
}

template <Cell cell, int rows>
inline void add_rows(const CellBlock& b, std::int64_t k, const float* a, std::int64_t a_stride,
                     float* c, std::int64_t c_stride) {
  add_columns<cell, rows, tile_of(rows)>(b, 0, k, a, a_stride, c, c_stride);
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
