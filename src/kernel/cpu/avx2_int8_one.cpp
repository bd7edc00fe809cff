// One token (decode) whose activations are 8-bit integers: a row's codes are read once, in order,
// and multiplied 32 at a time (vpmaddubsw); its outliers are added in the same pass, from the
// activations as they were.
#if defined(__AVX2__)
#include "kernel/cpu/avx2_int8.h"

namespace karat::avx2 {
namespace {

/// Adds Σ scale·code·x̂ of a row's blocks [begin, end) to acc.
template <class Codes>
inline __m256 blocks_dot(const MatrixView& m, std::int64_t row, const Int8Input& x,
                         std::int64_t begin, std::int64_t end, const float* scale, __m256 acc) {
  const std::byte* codes = m.codes + row * m.row_bytes;
  const auto add = [&](std::int64_t b, const __m256i* q) {
    const __m256 sum =
        _mm256_mul_ps(block_sum(q, x.values + b * kBlock), _mm256_loadu_ps(x.scales + b * kLanes));
    acc = _mm256_fmadd_ps(sum, _mm256_broadcast_ss(scale + b - begin), acc);
  };
  const std::int64_t whole = least(end, m.row_bytes / Codes::kBytes);
  for (std::int64_t b = begin; b < whole; ++b) {
    __m256i q[4];
    Codes::load(codes + b * Codes::kBytes, q);
    add(b, q);
  }
  if (whole < end) {
    __m256i q[4];
    load_last<Codes>(codes + whole * Codes::kBytes, m.row_bytes - whole * Codes::kBytes, q);
    add(whole, q);
  }
  return acc;
}

template <class Codes>
void int8_rows(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
               std::int64_t row_end) {
  const Int8Input& x = *input.int8;
  RowScales scales;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    __m256 acc = _mm256_setzero_ps();
    for (std::int64_t b = 0; b < x.blocks; b += kRun) {
      const std::int64_t end = least(b + kRun, x.blocks);
      load_scales(m, row, b, end, scales);
      acc = blocks_dot<Codes>(m, row, x, b, end, scales.scale, acc);
      acc = subtract_zeros(scales, x.sums + b, end - b, acc);
    }
    y[row] = sum_lanes(acc) + outlier_dot(m, row, input.x);
  }
}

}  // namespace

void multiply_one_int8(const MatrixView& m, const KernelInput& input, float* y,
                       std::int64_t row_begin, std::int64_t row_end) {
  with_block_codes(
      m, [&](auto codes) { int8_rows<decltype(codes)>(m, input, y, row_begin, row_end); });
}

}  // namespace karat::avx2
#endif
