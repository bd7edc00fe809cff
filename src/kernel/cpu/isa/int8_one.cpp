// One token (decode) whose activations are 8-bit integers: a row's codes are read once, in order,
// and multiplied a register at a time; its outliers are added in the same pass, from the
// activations as they were.
#include "kernel/cpu/isa/int8.h"
#include "kernel/cpu/isa/outliers.h"

namespace karat::KARAT_ISA {
namespace {

/// scale·code·x̂ of one block, added to a row's sum.
inline Wide::Vector add_block(const Bytes* q, const std::int8_t* values, Wide::Vector x_scales,
                              float scale, Wide::Vector sum) {
  return fma(block_sum(q, values), mul(x_scales, Wide::all(scale)), sum);
}

/// Adds Σ scale·code·x̂ of blocks [begin, end) to the sums of `rows` rows, which share the loads of
/// x. What lies `ahead` bytes further on is asked into the L2 cache, for the hardware's prefetchers
/// stop at the end of a page; a request into L1 would hold one of its few line buffers.
template <class Codes, int rows>
inline void add_blocks(const MatrixView& m, std::int64_t row, const Int8Input& x,
                       std::int64_t begin, std::int64_t end, std::int64_t ahead,
                       const RowScales* scales, Wide::Vector* acc) {
  const std::byte* codes = m.codes + row * m.row_bytes;
  const std::int64_t whole = least(end, m.in / kBlock), stride = m.row_bytes;
  Wide::Vector sums[rows];
  Bytes q[kRegisters];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = acc[r];
  for (std::int64_t b = begin; b < whole; ++b) {
    const Wide::Vector x_scales = Wide::repeat(x.scales + b * kLanes);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const std::byte* p = codes + r * stride + b * Codes::kBytes;
      __builtin_prefetch(p + ahead, 0, 2);
      Codes::load(p, q);
      sums[r] = add_block(q, x.values + b * kBlock, x_scales, scales[r].scale[b - begin], sums[r]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows && whole < end; ++r) {
    const std::int64_t at = whole * Codes::kBytes;
    load_last<Codes>(codes + r * stride + at, stride - at, q);
    sums[r] = add_block(q, x.values + whole * kBlock, Wide::repeat(x.scales + whole * kLanes),
                        scales[r].scale[whole - begin], sums[r]);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = sums[r];
}

/// y[row + r] = Σ (code − zero)·scale·x̂ of `rows` rows.
template <class Codes, int rows>
inline void some_rows(const MatrixView& m, const Int8Input& x, std::int64_t row, std::int64_t ahead,
                      float* y) {
  RowScales scales[rows];
  Wide::Vector acc[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = Wide::zeros();
  for (std::int64_t b = 0; b < x.blocks; b += kRun) {
    const std::int64_t end = least(b + kRun, x.blocks);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      // Memory would idle meanwhile, so this asks for the first of what add_blocks asks for.
      const std::byte* next = m.codes + (row + r) * m.row_bytes + b * Codes::kBytes + ahead;
      __builtin_prefetch(next, 0, 2);
      __builtin_prefetch(next + 64, 0, 2);
      load_scales(m, row + r, b, end, scales[r]);
      acc[r] = subtract_zeros(scales[r], x.sums + b, end - b, acc[r]);
    }
    add_blocks<Codes, rows>(m, row, x, b, end, ahead, scales, acc);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) y[row + r] = sum_lanes(fold(acc[r]));
}

template <class Codes>
void int8_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
               std::int64_t row_end) {
  constexpr int kTogether = 4;
  constexpr std::int64_t kAhead = 8192;  // where rows are read one by one
  const std::int64_t ahead = input.row_by_row ? kAhead : kTogether * m.row_bytes;
  const std::byte* next = m.codes + ahead;  // from a row's end
  std::int64_t row = row_begin;
  for (; row + kTogether <= row_end; row += kTogether) {
    if (input.row_by_row)
      for (int r = 0; r < kTogether; ++r) some_rows<Codes, 1>(m, *input.int8, row + r, ahead, y);
    else
      some_rows<Codes, kTogether>(m, *input.int8, row, ahead, y);
    dot_outliers<kTogether>(m, row, input.x, next + (row + kTogether) * m.row_bytes, y + row);
  }
  for (; row < row_end; ++row) {
    some_rows<Codes, 1>(m, *input.int8, row, ahead, y);
    dot_outliers<1>(m, row, input.x, next + (row + 1) * m.row_bytes, y + row);
  }
}

}  // namespace

void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end) {
  with_block_codes(
      m, [&](auto codes) { int8_rows<decltype(codes)>(m, input, y, row_begin, row_end); });
}

}  // namespace karat::KARAT_ISA
