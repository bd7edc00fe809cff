// Several tokens whose activations are 8-bit integers: 8 rows × 2048 inputs of codes become bytes
// in the L1 cache, once for all tokens; then 4 rows × 2 tokens are multiplied at a time, their
// float sums in registers.
#if defined(__AVX2__)
#include "kernel/cpu/avx2_int8.h"

namespace karat::avx2 {
namespace {

constexpr std::int64_t kStrip = 8;         // rows
constexpr std::int64_t kStripBlocks = 16;  // of codes; 8 rows of them are 16 KiB, half an L1 cache

struct Strip {
  alignas(32) __m256i codes[kStrip][kStripBlocks][4];
  RowScales scales[kStrip];
};

/// Blocks [begin, end) of `rows` rows from `row`. Rows past them stay as they were: finite.
template <class Codes>
inline void fill_strip(const MatrixView& m, std::int64_t row, std::int64_t rows, std::int64_t begin,
                       std::int64_t end, Strip& strip) {
  const std::int64_t whole = least(end, m.row_bytes / Codes::kBytes);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::byte* codes = m.codes + (row + r) * m.row_bytes;
    load_scales(m, row + r, begin, end, strip.scales[r]);
    for (std::int64_t b = begin; b < whole; ++b)
      Codes::load(codes + b * Codes::kBytes, strip.codes[r][b - begin]);
    if (whole < end)
      load_last<Codes>(codes + whole * Codes::kBytes, m.row_bytes - whole * Codes::kBytes,
                       strip.codes[r][whole - begin]);
  }
}

/// sums[t] = the products of 4 rows of the strip, from `r`, with n blocks of `tokens` tokens.
template <int tokens>
inline void multiply_strip(const Strip& strip, std::int64_t r, const Int8Input& x, std::int64_t t,
                           std::int64_t begin, std::int64_t n, __m128* sums) {
  __m256 acc[tokens][4];
  KARAT_UNROLL
  for (int i = 0; i < tokens; ++i) KARAT_UNROLL
  for (int k = 0; k < 4; ++k) acc[i][k] = _mm256_setzero_ps();
  const std::int8_t* values = x.values + (t * x.blocks + begin) * kBlock;
  const float* scales = x.scales + (t * x.blocks + begin) * kLanes;
  for (std::int64_t b = 0; b < n; ++b) KARAT_UNROLL
  for (int k = 0; k < 4; ++k) {
    const __m256i* q = strip.codes[r + k][b];
    const __m256 scale = _mm256_broadcast_ss(strip.scales[r + k].scale + b);
    KARAT_UNROLL
    for (int i = 0; i < tokens; ++i) {
      const __m256 sum = block_sum(q, values + (i * x.blocks + b) * kBlock);
      acc[i][k] =
          _mm256_fmadd_ps(_mm256_mul_ps(sum, _mm256_loadu_ps(scales + (i * x.blocks + b) * kLanes)),
                          scale, acc[i][k]);
    }
  }
  KARAT_UNROLL
  for (int i = 0; i < tokens; ++i) {
    const float* block_sums = x.sums + (t + i) * x.sums_stride + begin;
    KARAT_UNROLL
    for (int k = 0; k < 4; ++k)
      acc[i][k] = subtract_zeros(strip.scales[r + k], block_sums, n, acc[i][k]);
    sums[i] = sum_lanes(acc[i][0], acc[i][1], acc[i][2], acc[i][3]);
  }
}

/// The strip's rows × blocks with all tokens.
inline void multiply_all(const Strip& strip, const KernelInput& input, std::int64_t begin,
                         std::int64_t n, std::int64_t rows, float* y, std::int64_t out) {
  for (std::int64_t t = 0; t < input.tokens; t += 2) {
    const std::int64_t count = least(2, input.tokens - t);
    for (std::int64_t r = 0; r < rows; r += 4) {
      __m128 sums[2];
      if (count == 2) multiply_strip<2>(strip, r, *input.int8, t, begin, n, sums);
      if (count == 1) multiply_strip<1>(strip, r, *input.int8, t, begin, n, sums);
      add_sums(sums, count, least(4, rows - r), begin != 0, y + t * out + r, out);
    }
  }
}

constexpr std::int64_t kChunk = 32;  // tokens whose sums of one row's outliers stay in registers

/// sums = Σ value · x over the outliers of a row, for kChunk tokens from `t`.
inline void outlier_sums(const MatrixView& m, const KernelInput& input, std::int64_t row,
                         std::int64_t t, float* sums) {
  __m256 acc[kChunk / kLanes];
  for (__m256& one : acc) one = _mm256_setzero_ps();
  for (std::int64_t k = m.outlier_offsets[row]; k < m.outlier_offsets[row + 1]; ++k) {
    std::uint16_t column;
    std::memcpy(&column, m.outlier_columns + 2 * k, 2);
    const __m256 value = _mm256_set1_ps(load_half(m.outlier_values, k));
    const float* x = input.turned + column * input.turned_stride + t;
    for (std::int64_t i = 0; i < kChunk / kLanes; ++i)
      acc[i] = _mm256_fmadd_ps(value, _mm256_loadu_ps(x + i * kLanes), acc[i]);
  }
  for (std::int64_t i = 0; i < kChunk / kLanes; ++i) _mm256_store_ps(sums + i * kLanes, acc[i]);
}

/// Adds the outliers of a strip's rows to y.
inline void add_strip_outliers(const MatrixView& m, const KernelInput& input, std::int64_t row,
                               std::int64_t rows, float* y) {
  for (std::int64_t t = 0; t < input.tokens; t += kChunk) {
    alignas(32) float sums[kStrip][kChunk];
    for (std::int64_t r = 0; r < rows; ++r) outlier_sums(m, input, row + r, t, sums[r]);
    for (std::int64_t i = 0; i < least(kChunk, input.tokens - t); ++i)
      for (std::int64_t r = 0; r < rows; ++r) y[(t + i) * m.out + row + r] += sums[r][i];
  }
}

}  // namespace

void multiply_many_int8(const MatrixView& m, const KernelInput& input, float* y,
                        std::int64_t row_begin, std::int64_t row_end) {
  Strip strip;
  std::memset(&strip, 0, sizeof strip);
  for (std::int64_t row = row_begin; row < row_end; row += kStrip) {
    const std::int64_t rows = least(kStrip, row_end - row);
    for (std::int64_t b = 0; b < input.int8->blocks; b += kStripBlocks) {
      const std::int64_t end = least(b + kStripBlocks, input.int8->blocks);
      with_block_codes(
          m, [&](auto codes) { fill_strip<decltype(codes)>(m, row, rows, b, end, strip); });
      multiply_all(strip, input, b, end - b, rows, y + row, m.out);
    }
    if (m.outlier_offsets != nullptr) add_strip_outliers(m, input, row, rows, y);
  }
}

}  // namespace karat::avx2
#endif
