// The product by its definition: each row to floats through the format's own reader, then sums in
// double. The oracle of every other matmul, and what runs where nothing faster can.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "format/parts.h"
#include "format/rows.h"
#include "kernel/reference/reference.h"

namespace karat::reference {
namespace {

/// Row `o` of W without its outliers to `w` [in].
void read_row(const MatrixView& m, std::int64_t o, float* w) {
  if (m.store == MatrixView::Store::packed) return dense_row(*m.packed, o, w);
  for (std::int64_t i = 0; i < m.in; ++i) {
    const std::int64_t at = o * m.in + i;
    if (m.store == MatrixView::Store::f32)
      std::memcpy(w + i, m.dense + 4 * at, 4);
    else
      w[i] = m.store == MatrixView::Store::f16 ? f16_to_float(load_u16(m.dense, at))
                                               : bf16_to_float(load_u16(m.dense, at));
  }
}

/// The outliers of row `o`, `w` [in] being 0 elsewhere.
void read_outliers(const MatrixView& m, std::int64_t o, float* w) {
  std::fill_n(w, m.in, 0.0f);
  if (m.outlier_offsets != nullptr)
    add_outliers(*m.packed, m.outlier_offsets[o], m.outlier_offsets[o + 1], w);
}

/// Input i of token t as the product sees it.
double input_value(const MatrixView& m, const KernelInput& input, std::int64_t t, std::int64_t i) {
  if (input.int8 == nullptr) return input.x[t * m.in + i];
  const std::int64_t block = t * input.int8->blocks + i / kInt8Block;
  const float* scales = input.int8->scales + block * kInt8Scales;
  return static_cast<double>(scales[int8_scale(m, i % kInt8Block)]) *
         input.int8->values[block * kInt8Block + i % kInt8Block];
}

}  // namespace

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  std::vector<float> w(static_cast<std::size_t>(m.in)), kept(w);
  for (std::int64_t o = row_begin; o < row_end; ++o) {
    read_row(m, o, w.data());
    read_outliers(m, o, kept.data());
    for (std::int64_t t = 0; t < input.tokens; ++t) {
      double sum = 0;
      for (std::int64_t i = 0; i < m.in; ++i)
        sum += input_value(m, input, t, i) * w[i] +
               static_cast<double>(input.x[t * m.in + i]) * kept[i];
      y[t * m.out + o] = static_cast<float>(sum);
    }
  }
}

void multiply_add(const CellBlock& b, std::int64_t k, std::int64_t rows, const float* a,
                  std::int64_t a_stride, float* c, std::int64_t c_stride) {
  const auto cell = [&](std::int64_t i) -> float {
    float value;
    if (b.cell == CellBlock::Cell::i8) return static_cast<std::int8_t>(b.data[i]);
    if (b.cell == CellBlock::Cell::f16) return f16_to_float(load_u16(b.data, i));
    std::memcpy(&value, b.data + 4 * i, 4);
    return value;
  };
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t column = 0; column < b.columns; ++column) {
      double sum = c[r * c_stride + column];
      for (std::int64_t i = 0; i < k; ++i)
        sum += static_cast<double>(a[r * a_stride + i]) * cell(i * b.columns + column);
      c[r * c_stride + column] = static_cast<float>(sum);
    }
}

void round_input(const MatrixView& m, const float* x, std::int8_t* values, float* scales,
                 float* sums) {
  const std::int64_t unit = int8_unit(m);
  for (std::int64_t begin = 0; begin < m.in; begin += kInt8Block) {
    const std::int64_t n = std::min(kInt8Block, m.in - begin);
    std::fill_n(values, kInt8Block, std::int8_t{0});
    float largest[kInt8Scales] = {};
    for (std::int64_t i = 0; i < n; ++i) {
      float& top = largest[int8_scale(m, i)];
      if (!std::isfinite(x[i])) top = NAN;
      if (!(std::fabs(x[i]) <= top)) top = std::fabs(x[i]) + (top - top);
    }
    double sum = 0;
    for (std::int64_t k = 0; k < kInt8Scales; ++k)
      scales[k] = largest[k] <= 1e-30f ? 0 : largest[k] / 127;
    for (std::int64_t k = 0; k < kInt8Scales && m.input_grid != nullptr; ++k)
      scales[k] = 1, largest[k] = 127;
    for (std::int64_t i = 0; i < kInt8Block; ++i) {
      const std::int64_t k = int8_scale(m, i);
      if (i < n && scales[k] > 0)
        values[i] = static_cast<std::int8_t>(std::nearbyint(x[i] * (127 / largest[k])));
      sum += static_cast<double>(scales[k]) * values[i];
      if ((i + 1) % unit != 0) continue;
      *sums++ = static_cast<float>(sum);
      sum = 0;
    }
    x += n, values += kInt8Block, scales += kInt8Scales;
  }
}

}  // namespace karat::reference
