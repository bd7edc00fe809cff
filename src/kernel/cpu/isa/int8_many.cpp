// Several tokens whose activations are 8-bit integers: 16 rows × 1024 inputs of codes become bytes
// in the L1 cache, once for all tokens; then 4 rows × kTokens tokens are multiplied at a
// time, their float sums in registers.
#include "kernel/cpu/isa/int8_columns.h"
#include "kernel/cpu/isa/int8_outliers.h"
#if defined(__AVX512BW__)
#include "kernel/cpu/isa/int8_transposed.h"
#endif

namespace karat::KARAT_ISA {
namespace {

struct Strip {
  static constexpr std::int64_t kRows = 16;
  static constexpr std::int64_t kBlocks = 8;  // of codes; kRows of them are half an L1 cache
  alignas(64) Bytes codes[kRows][kBlocks][kRegisters];
  RowScales scales[kRows];

  Strip() { std::memset(static_cast<void*>(this), 0, sizeof *this); }
  template <class Codes>
  void fill(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
            std::int64_t end);
  template <class Table>
  void fill_columns(const Table& table, const MatrixView& m, std::int64_t row, std::int64_t rows,
                    std::int64_t begin, std::int64_t end);
  template <int bits>
  void multiply(const KernelInput& input, std::int64_t begin, std::int64_t n, std::int64_t rows,
                float* y, std::int64_t out) const;
};

/// Blocks [begin, end) of `rows` rows from `row`. Rows past them stay as they were, at first zeros:
/// they are multiplied too and must be finite.
template <class Codes>
inline void Strip::fill(const MatrixView& m, std::int64_t row, std::int64_t rows,
                        std::int64_t begin, std::int64_t end) {
  const std::int64_t whole = least(end, m.in / kBlock);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* from = m.codes + (row + r) * m.row_bytes;
    load_scales(m, row + r, begin, end, scales[r]);
    for (std::int64_t b = begin; b < whole; ++b)
      Codes::load(from + b * Codes::kBytes, codes[r][b - begin]);
    if (whole < end)
      load_last<Codes>(from + whole * Codes::kBytes, m.row_bytes - whole * Codes::kBytes,
                       codes[r][whole - begin]);
  }
}

/// The same with the sums of a format of columns for codes.
template <class Table>
inline void Strip::fill_columns(const Table& table, const MatrixView& m, std::int64_t row,
                                std::int64_t rows, std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = 0; r < rows; ++r) load_scales(m, row + r, begin, end, scales[r]);
  for (std::int64_t b = begin; b < end; ++b) {
    ColumnBlock<Table> block(table, m, row, b);
    for (std::int64_t r = 0; r < rows; ++r) block.next(codes[r][b - begin]);
  }
}

/// sums[t] = the products of 4 rows of the strip, from `r`, with n blocks of `tokens` tokens.
/// `bits`: sum_bits() of the codes.
template <int bits, int tokens>
inline void multiply_strip(const Strip& strip, std::int64_t r, const Int8Input& x, std::int64_t t,
                           std::int64_t begin, std::int64_t n, Four* sums) {
  Wide::Vector acc[tokens][4];
  KARAT_UNROLL
  for (int i = 0; i < tokens; ++i) KARAT_UNROLL
  for (int k = 0; k < 4; ++k) acc[i][k] = Wide::zeros();
  const std::int8_t* values = x.values + (t * x.blocks + begin) * kBlock;
  const float* scales = x.scales + (t * x.blocks + begin) * kLanes;
  for (std::int64_t b = 0; b < n; ++b) KARAT_UNROLL
  for (int k = 0; k < 4; ++k) {
    const Bytes* q = strip.codes[r + k][b];
    const Wide::Vector scale = Wide::all(strip.scales[r + k].scale[b]);
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      const Wide::Vector sum = block_sum<bits>(q, values + (i * x.blocks + b) * kBlock);
      acc[i][k] =
          fma(mul(sum, Wide::repeat(scales + (i * x.blocks + b) * kLanes)), scale, acc[i][k]);
    }
  }
  KARAT_UNROLL
  for (int i = 0; i < tokens; ++i) {
    const float* block_sums = x.sums + (t + i) * x.sums_stride + begin;
    Eight whole[4];
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k)
      whole[k] = fold(subtract_zeros(strip.scales[r + k], block_sums, n, acc[i][k]));
    sums[i] = sum_lanes(whole[0], whole[1], whole[2], whole[3]);
  }
}

/// multiply_strip of `count` <= `most` tokens.
template <int bits, int most>
inline void multiply_some(const Strip& strip, std::int64_t r, const Int8Input& x, std::int64_t t,
                          std::int64_t count, std::int64_t begin, std::int64_t n, Four* sums) {
  if (count == most) return multiply_strip<bits, most>(strip, r, x, t, begin, n, sums);
  if constexpr (most > 1) multiply_some<bits, most - 1>(strip, r, x, t, count, begin, n, sums);
}

/// y[t, r] (+)= the strip's n blocks with all tokens; the first blocks of a row store.
template <int bits>
inline void Strip::multiply(const KernelInput& input, std::int64_t begin, std::int64_t n,
                            std::int64_t rows, float* y, std::int64_t out) const {
  for (std::int64_t t = 0; t < input.tokens; t += kTokens) {
    const std::int64_t count = least(kTokens, input.tokens - t);
    for (std::int64_t r = 0; r < rows; r += 4) {
      Four sums[kTokens];
      multiply_some<bits, kTokens>(*this, r, *input.int8, t, count, begin, n, sums);
      add_sums(sums, count, least(4, rows - r), begin != 0, y + t * out + r, out);
    }
  }
}

/// Blocks [begin, end) of `rows` rows from `row` to a strip.
template <class Kind>
void fill(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
          std::int64_t end, Kind& strip) {
  if (m.columns == nullptr)
    return with_block_codes(
        m, [&](auto codes) { strip.template fill<decltype(codes)>(m, row, rows, begin, end); });
  with_columns(m, [&](const auto& table) { strip.fill_columns(table, m, row, rows, begin, end); });
}

/// Kind: of strip; bits: sum_bits() of what it holds.
template <class Kind, int bits>
void multiply_strips(const MatrixView& m, const KernelInput& input, float* y,
                     std::int64_t row_begin, std::int64_t row_end) {
  Kind strip;
  for (std::int64_t row = row_begin; row < row_end; row += Kind::kRows) {
    const std::int64_t rows = least(Kind::kRows, row_end - row);
    for (std::int64_t b = 0; b < input.int8->blocks; b += Kind::kBlocks) {
      const std::int64_t end = least(b + Kind::kBlocks, input.int8->blocks);
      fill(m, row, rows, b, end, strip);
      strip.template multiply<bits>(input, b, end - b, rows, y + row, m.out);
    }
    for (std::int64_t r = 0; r < rows && m.outlier_offsets != nullptr; r += kOutlierRows)
      add_strip_outliers(m, input, row + r, least(kOutlierRows, rows - r), y);
  }
}

template <class Kind>
void multiply_strips(const MatrixView& m, const KernelInput& input, float* y,
                     std::int64_t row_begin, std::int64_t row_end) {
  const auto multiply = [&](auto bits) {
    multiply_strips<Kind, sum_bits(bits)>(m, input, y, row_begin, row_end);
  };
  if (m.columns != nullptr)
    return with_columns(m, [&](const auto& table) { multiply(table.sum_width()); });
  with_block_codes(
      m, [&](auto codes) { multiply(std::integral_constant<int, decltype(codes)::kBits>{}); });
}

}  // namespace

void multiply_many_int8(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end) {
  if (has_small_units(m)) return multiply_many_units(m, input, y, row_begin, row_end);
#if defined(__AVX512BW__)
  if (input.tokens >= kManyTokens)
    return multiply_strips<TransposedStrip>(m, input, y, row_begin, row_end);
#endif
  multiply_strips<Strip>(m, input, y, row_begin, row_end);
}

}  // namespace karat::KARAT_ISA
