// Column trellises (format/codec/column-trellis/code.h) with activations as they are: a block's
// bytes, which the kernels of 8-bit activations unpack, become floats.
#include "kernel/cpu/isa/int8_columns.h"
#include "kernel/cpu/isa/outliers.h"
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

/// Place of input i of a block among its bytes (int8.h).
template <int bits>
inline std::int64_t byte_of(std::int64_t i) {
  const int* place = BlockCodes<bits>::kPlace;
  if (bits == 2) return 32 * place[i % 4] + i / 4;
  return 32 * place[i / 64 * 2 + i % 2] + i % 64 / 2;
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
    alignas(64) std::uint8_t bytes[kBlock], ordered[kBlock];
    std::memcpy(bytes, q, sizeof bytes);
    for (std::int64_t i = 0; i < kBlock; ++i) ordered[i] = bytes[byte_of<bits>(i)];
    const Eight scale = all(load_half(m.scales, row + r) * m.columns->step);
    const Eight zero = all(static_cast<float>(m.columns->zero));
    for (std::int64_t i = 0; i < n; i += kLanes) {
      const Eight sums = load_int8(reinterpret_cast<const std::byte*>(ordered + i));
      store_first(w + i, least(kLanes, n - i), mul(scale, sub(sums, zero)));
    }
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
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t k = 0; k < n; k += kLanes) {
          const std::int64_t lanes = least(kLanes, n - k);
          acc[r] = fma(load_first(w[r] + k, lanes), load_first(input.x + i + k, lanes), acc[r]);
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
