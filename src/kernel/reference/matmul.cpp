// The product by its definition: each row to floats through the format's own reader, then sums in
// double. The oracle of every other matmul, and what runs where nothing faster can.
#include <vector>

#include "format/parts.h"
#include "format/rows.h"
#include "kernel/reference/reference.h"

namespace karat::reference {
namespace {

/// Row `o` of W, outliers included, to `w` [in].
void read_row(const MatrixView& m, std::int64_t o, float* w) {
  if (m.store == MatrixView::Store::packed) {
    dense_row(*m.packed, o, w);
    if (m.outlier_offsets != nullptr)
      add_outliers(*m.packed, m.outlier_offsets[o], m.outlier_offsets[o + 1], w);
    return;
  }
  for (std::int64_t i = 0; i < m.in; ++i) {
    const std::int64_t at = o * m.in + i;
    if (m.store == MatrixView::Store::f32)
      std::memcpy(w + i, m.dense + 4 * at, 4);
    else
      w[i] = m.store == MatrixView::Store::f16 ? f16_to_float(load_u16(m.dense, at))
                                               : bf16_to_float(load_u16(m.dense, at));
  }
}

}  // namespace

void matmul(const MatrixView& m, const KernelInput& input, float* y, std::int64_t row_begin,
            std::int64_t row_end) {
  std::vector<float> w(static_cast<std::size_t>(m.in));
  for (std::int64_t o = row_begin; o < row_end; ++o) {
    read_row(m, o, w.data());
    for (std::int64_t t = 0; t < input.tokens; ++t) {
      double sum = 0;
      for (std::int64_t i = 0; i < m.in; ++i)
        sum += static_cast<double>(input.x[t * m.in + i]) * w[i];
      y[t * m.out + o] = static_cast<float>(sum);
    }
  }
}

}  // namespace karat::reference
