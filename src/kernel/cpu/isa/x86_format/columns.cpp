// Column trellises (format/codec/column-trellis/code.h) with activations as they are: a block's
// bytes, which the kernels of 8-bit activations unpack, become floats.
#include "kernel/cpu/isa/int8_columns.h"
#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

inline __m256i quarter(const std::byte* bytes, int place) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes + 32 * place));
}
inline void store_halves(__m256i a, __m256i b, std::byte* low, std::byte* high) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(low), _mm256_permute2x128_si256(a, b, 0x20));
  _mm256_store_si256(reinterpret_cast<__m256i*>(high), _mm256_permute2x128_si256(a, b, 0x31));
}

/// The bytes of a block in the order of its inputs (int8.h has theirs).
template <int bits>
inline void put_in_order(const std::byte* bytes, std::byte* to) {
  const int* place = BlockCodes<bits>::kPlace;
  __m256i low[2], high[2];
  KARAT_UNROLL
  for (int h = 0; h < 2; ++h) {
    const __m256i a = quarter(bytes, place[2 * h]), b = quarter(bytes, place[2 * h + 1]);
    low[h] = _mm256_unpacklo_epi8(a, b);
    high[h] = _mm256_unpackhi_epi8(a, b);
    if (bits > 2) store_halves(low[h], high[h], to + 64 * h, to + 64 * h + 32);
  }
  if constexpr (bits == 2) {
    store_halves(_mm256_unpacklo_epi16(low[0], low[1]), _mm256_unpackhi_epi16(low[0], low[1]), to,
                 to + 64);
    store_halves(_mm256_unpacklo_epi16(high[0], high[1]), _mm256_unpackhi_epi16(high[0], high[1]),
                 to + 32, to + 96);
  }
}

/// The values of `rows` rows from `row` in block b, scaled, to w, `stride` floats a row.
template <class Table>
void unpack_block(const Table& table, const MatrixView& m, std::int64_t row, std::int64_t rows,
                  std::int64_t b, float* w, std::int64_t stride) {
  constexpr int bits = Table::kBits;
  ColumnBlock<Table> block(table, m, row, b);
  const std::int64_t n = least(kBlock, m.in - b * kBlock);
  for (std::int64_t r = 0; r < rows; ++r, w += stride) {
    Bytes q[kRegisters];
    block.next(q);
    alignas(64) std::byte bytes[kBlock], ordered[kBlock];
    std::memcpy(bytes, q, sizeof bytes);
    put_in_order<bits>(bytes, ordered);
    const Eight scale = all(load_half(m.scales, row + r) * m.columns->step);
    const Eight zero = all(static_cast<float>(m.columns->zero));
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      store(w + i, mul(scale, sub(load_int8(ordered + i), zero)));
    if (i < n) store_first(w + i, n - i, mul(scale, sub(load_int8(ordered + i), zero)));
  }
}

void unpack(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end, Tile& tile) {
  with_columns(m, [&](const auto& table) {
    for (std::int64_t i = begin; i < end; i += kBlock)
      unpack_block(table, m, row, rows, i / kBlock, tile.w[0] + (i - begin), kInputs);
  });
}

void one(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
         std::int64_t row_end) {
  alignas(32) float w[kRows][kBlock];
  for (std::int64_t row = row_begin; row < row_end; row += kRows) {
    const std::int64_t rows = least(kRows, row_end - row);
    Eight acc[kRows];
    for (Eight& sum : acc) sum = all(0);
    for (std::int64_t i = 0; i < m.in; i += kBlock) {
      with_columns(m, [&](const auto& table) {
        unpack_block(table, m, row, rows, i / kBlock, w[0], kBlock);
      });
      const std::int64_t n = least(kBlock, m.in - i);
      for (std::int64_t r = 0; r < rows; ++r) {
        std::int64_t k = 0;
        for (; k + kLanes <= n; k += kLanes)
          acc[r] = fma(load(w[r] + k), load(input.x + i + k), acc[r]);
        if (k < n)
          acc[r] = fma(load_first(w[r] + k, n - k), load_first(input.x + i + k, n - k), acc[r]);
      }
    }
    for (std::int64_t r = 0; r < rows; ++r)
      y[row + r] = sum_lanes(acc[r]) + outlier_dot(m, row + r, input.x);
  }
}

}  // namespace

extern const FormatKernels columns_kernels;
const FormatKernels columns_kernels = {one, unpack};

}  // namespace karat::KARAT_ISA
