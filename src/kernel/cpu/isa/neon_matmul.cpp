// Products of floats with NEON: a row becomes floats through the format's own reader, once for all
// tokens, and is multiplied in registers. The unpacking is the naive one, so packed formats without
// 8-bit kernels are slow with one token. NEON is there on every AArch64 CPU, so this unit may use
// inline functions of the standard library.
#include <vector>

#include "format/rows.h"
#include "karat/tensor_view.h"
#include "kernel/cpu/isa/eight.h"

namespace karat::KARAT_ISA {
namespace {

Eight load_bfloats(const std::byte* data) {
  const uint16x8_t halves =
      vreinterpretq_u16_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(data)));
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
          vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(halves), 16))};
}

/// n 16-bit floats at `from`, eight at a time by `load_eight`.
template <class Load>
void widen(const std::byte* from, std::int64_t n, float* to, const Load& load_eight) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load_eight(from + 2 * i));
  if (i == n) return;
  std::byte last[16] = {};
  std::memcpy(last, from + 2 * i, static_cast<std::size_t>(2 * (n - i)));
  store_first(to + i, n - i, load_eight(last));
}

/// Row `o` of W with its outliers, in `w` [in] unless it is there as floats.
const float* read_row(const MatrixView& m, std::int64_t o, float* w) {
  using Store = MatrixView::Store;
  if (m.store == Store::packed) {
    dense_row(*m.packed, o, w);
    if (m.outlier_offsets != nullptr)
      add_outliers(*m.packed, m.outlier_offsets[o], m.outlier_offsets[o + 1], w);
  } else if (m.store == Store::f32) {
    return reinterpret_cast<const float*>(m.dense + 4 * o * m.in);
  } else if (m.store == Store::f16) {
    widen(m.dense + 2 * o * m.in, m.in, w, load_halves);
  } else {
    widen(m.dense + 2 * o * m.in, m.in, w, load_bfloats);
  }
  return w;
}

/// y[t·out] = w · x[t] of `tokens` tokens.
template <int tokens>
void multiply_row(const float* w, const float* x, std::int64_t in, float* y, std::int64_t out) {
  Eight sums[tokens][2];
  KARAT_UNROLL
  for (int t = 0; t < tokens; ++t) sums[t][0] = sums[t][1] = all(0);
  std::int64_t i = 0;
  for (; i + 2 * kLanes <= in; i += 2 * kLanes) {
    const Eight a = load(w + i), b = load(w + i + kLanes);
    KARAT_UNROLL
    for (int t = 0; t < tokens; ++t) {
      sums[t][0] = fma(a, load(x + t * in + i), sums[t][0]);
      sums[t][1] = fma(b, load(x + t * in + i + kLanes), sums[t][1]);
    }
  }
  for (; i < in; i += kLanes) {
    const std::int64_t count = least(in - i, kLanes);
    KARAT_UNROLL
    for (int t = 0; t < tokens; ++t)
      sums[t][0] = fma(load_first(w + i, count), load_first(x + t * in + i, count), sums[t][0]);
  }
  KARAT_UNROLL
  for (int t = 0; t < tokens; ++t) y[t * out] = sum_lanes(add(sums[t][0], sums[t][1]));
}

}  // namespace

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  thread_local std::vector<float> buffer;
  buffer.resize(static_cast<std::size_t>(m.in));
  for (std::int64_t o = row_begin; o < row_end; ++o) {
    const float* w = read_row(m, o, buffer.data());
    std::int64_t t = 0;
    for (; t + 4 <= input.tokens; t += 4)
      multiply_row<4>(w, input.x + t * m.in, m.in, y + t * m.out + o, m.out);
    for (; t < input.tokens; ++t)
      multiply_row<1>(w, input.x + t * m.in, m.in, y + t * m.out + o, m.out);
  }
}

}  // namespace karat::KARAT_ISA
