// One token (decode) with dense weights.
#include "kernel/cpu/isa/x86.h"

namespace karat::KARAT_ISA {
namespace {

/// Requests what lies 4 KiB after weights [i, i + 32): the hardware's prefetchers stop at the end
/// of a page.
template <MatrixView::Store store>
inline void prefetch_ahead(const std::byte* dense, std::int64_t i) {
  constexpr std::int64_t kBytes = store == MatrixView::Store::f32 ? 4 : 2, kAhead = 4096;
  KARAT_UNROLL
  for (std::int64_t line = 0; line < 32 * kBytes; line += 64)
    __builtin_prefetch(dense + kBytes * i + kAhead + line, 0, 2);
}

template <MatrixView::Store store>
void dense_rows(const MatrixView& m, const float* x, float* y, std::int64_t row_begin,
                std::int64_t row_end) {
  const std::int64_t whole = m.in / kLanes * kLanes;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const std::int64_t at = row * m.in;
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    std::int64_t i = 0;
    for (; i + 32 <= whole; i += 32) {
      prefetch_ahead<store>(m.dense, at + i);
      a = _mm256_fmadd_ps(load_dense(store, m.dense, at + i), _mm256_loadu_ps(x + i), a);
      b = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 8), _mm256_loadu_ps(x + i + 8), b);
      c = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 16), _mm256_loadu_ps(x + i + 16), c);
      d = _mm256_fmadd_ps(load_dense(store, m.dense, at + i + 24), _mm256_loadu_ps(x + i + 24), d);
    }
    for (; i < whole; i += kLanes)
      a = _mm256_fmadd_ps(load_dense(store, m.dense, at + i), _mm256_loadu_ps(x + i), a);
    if (const std::int64_t n = m.in - i; n > 0)
      b = _mm256_fmadd_ps(load_dense_tail(store, m.dense, at + i, n),
                          _mm256_maskload_ps(x + i, first_lanes(n)), b);
    y[row] = sum_lanes(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)));
  }
}

}  // namespace

void multiply_dense(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
                    std::int64_t row_end) {
  using Store = MatrixView::Store;
  if (m.store == Store::f32) return dense_rows<Store::f32>(m, input.x, y, row_begin, row_end);
  if (m.store == Store::f16) return dense_rows<Store::f16>(m, input.x, y, row_begin, row_end);
  dense_rows<Store::bf16>(m, input.x, y, row_begin, row_end);
}

}  // namespace karat::KARAT_ISA
