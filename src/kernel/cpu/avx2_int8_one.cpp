// One token (decode) whose activations are 8-bit integers: a row's codes are read once, in order,
// and multiplied 32 at a time (vpmaddubsw); its outliers are added in the same pass, from the
// activations as they were.
#if defined(__AVX2__)
#include "kernel/cpu/avx2_int8.h"

namespace karat::avx2 {
namespace {

/// scale·code·x̂ of one block, added to a row's sum.
inline __m256 add_block(const __m256i* q, const std::int8_t* values, __m256 x_scales,
                        const float* scale, __m256 sum) {
  return _mm256_fmadd_ps(block_sum(q, values), _mm256_mul_ps(x_scales, _mm256_broadcast_ss(scale)),
                         sum);
}

/// Adds Σ scale·code·x̂ of blocks [begin, end) to the sums of `rows` rows, which share the loads of
/// x. What is read next lies `rows` rows further on: the hardware's prefetchers stop at the end of
/// a page.
template <class Codes, int rows>
inline void add_blocks(const MatrixView& m, std::int64_t row, const Int8Input& x,
                       std::int64_t begin, std::int64_t end, const RowScales* scales, __m256* acc) {
  const std::byte* codes = m.codes + row * m.row_bytes;
  const std::int64_t whole = least(end, m.row_bytes / Codes::kBytes), stride = m.row_bytes;
  __m256 sums[rows];
  __m256i q[4];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) sums[r] = acc[r];
  for (std::int64_t b = begin; b < whole; ++b) {
    const __m256 x_scales = _mm256_loadu_ps(x.scales + b * kLanes);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      const std::byte* p = codes + r * stride + b * Codes::kBytes;
      _mm_prefetch(reinterpret_cast<const char*>(p + rows * stride), _MM_HINT_T0);
      Codes::load(p, q);
      sums[r] = add_block(q, x.values + b * kBlock, x_scales, scales[r].scale + b - begin, sums[r]);
    }
  }
  KARAT_UNROLL
  for (int r = 0; r < rows && whole < end; ++r) {
    const std::int64_t at = whole * Codes::kBytes;
    load_last<Codes>(codes + r * stride + at, stride - at, q);
    sums[r] = add_block(q, x.values + whole * kBlock, _mm256_loadu_ps(x.scales + whole * kLanes),
                        scales[r].scale + whole - begin, sums[r]);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = sums[r];
}

template <class Codes, int rows>
inline void some_rows(const MatrixView& m, const KernelInput& input, std::int64_t row, float* y) {
  const Int8Input& x = *input.int8;
  RowScales scales[rows];
  __m256 acc[rows];
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) acc[r] = _mm256_setzero_ps();
  for (std::int64_t b = 0; b < x.blocks; b += kRun) {
    const std::int64_t end = least(b + kRun, x.blocks);
    KARAT_UNROLL
    for (int r = 0; r < rows; ++r) {
      load_scales(m, row + r, b, end, scales[r]);
      acc[r] = subtract_zeros(scales[r], x.sums + b, end - b, acc[r]);
    }
    add_blocks<Codes, rows>(m, row, x, b, end, scales, acc);
  }
  KARAT_UNROLL
  for (int r = 0; r < rows; ++r) y[row + r] = sum_lanes(acc[r]) + outlier_dot(m, row + r, input.x);
}

template <class Codes>
void int8_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
               std::int64_t row_end) {
  constexpr int kTogether = 4;
  std::int64_t row = row_begin;
  for (; row + kTogether <= row_end; row += kTogether)
    some_rows<Codes, kTogether>(m, input, row, y);
  for (; row < row_end; ++row) some_rows<Codes, 1>(m, input, row, y);
}

}  // namespace

void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end) {
  with_block_codes(
      m, [&](auto codes) { int8_rows<decltype(codes)>(m, input, y, row_begin, row_end); });
}

}  // namespace karat::avx2
#endif
