#include "kernel/matrix.h"

#include <fmt/format.h>

#include <algorithm>

#include "format/blocks.h"
#include "format/codec.h"
#include "format/input_grid.h"
#include "format/rows.h"
#include "karat/error.h"

namespace karat {
namespace {

MatrixView::Store store_of(const TensorView& view) {
  if (view.dtype == DType::f32) return MatrixView::Store::f32;
  if (view.dtype == DType::f16) return MatrixView::Store::f16;
  if (view.dtype == DType::bf16) return MatrixView::Store::bf16;
  fail("use tensor " + view.name + " as a matrix", std::string(view.type()),
       "F32, F16, BF16 or a type of GGUF");
}

int number_of(const Codec& codec) {
  const std::vector<const Codec*>& all = all_codecs();
  return static_cast<int>(std::ranges::find(all, &codec) - all.begin());
}

}  // namespace

Matrix::Matrix(const TensorView& view) {
  if (view.shape.size() != 2)
    fail("use tensor " + view.name + " as a matrix", shape_text(view.shape), "two dimensions");
  if (view.dtype == DType::block) {
    *this = Matrix(blocks_view(view));
    return;
  }
  view_.store = store_of(view);
  view_.out = view.shape[0];
  view_.in = view.shape[1];
  view_.dense = view.data;
  bytes_ = static_cast<std::int64_t>(view.bytes());
}

Matrix::Matrix(const PackedView& view)
    : packed_(std::make_unique<const PackedView>(view)), outlier_offsets_(outlier_offsets(view)) {
  view_.store = MatrixView::Store::packed;
  view_.packed = packed_.get();
  view_.out = view.out;
  view_.in = view.in;
  view_.bits = view.layout.bits;
  view_.symmetric = view.layout.symmetric;
  view_.group = view.layout.group_size(view.in);
  view_.groups = view.layout.groups(view.in);
  view_.format = number_of(*view.codec);
  const CodeFacts facts = view.codec->facts(view);
  view_.variant = facts.variant;
  view_.symmetric |= facts.always_symmetric;
  view_.fixed_zero = facts.fixed_zero;
  view_.sums = facts.sums;
  view_.int8 = facts.int8;
  view_.columns = facts.columns;
  view_.decode = facts.decode;
  view_.row_bytes = facts.row_bytes;
  view_.codes = view.codes.data;
  view_.values = facts.values;
  view_.tables = view.tables.data;
  view_.scales = view.scales.data;
  view_.zeros = view.zeros.data;
  view_.scale_codes = view.scale_codes.data;
  view_.zero_codes = view.zero_codes.data;
  view_.scale_stats = view.scale_stats.data;
  view_.zero_stats = view.zero_stats.data;
  view_.outlier_offsets = outlier_offsets_.empty() ? nullptr : outlier_offsets_.data();
  view_.outlier_columns = view.outlier_columns.data;
  view_.outlier_values = view.outlier_values.data;
  if (view.layout.input_scales) input_scales_ = to_floats(view.input_scales);
  view_.input_scales = input_scales_.empty() ? nullptr : input_scales_.data();
  if (view.layout.rotation) {
    rotations_.emplace_back(view.in, *view.layout.rotation, Rotation::Side::inputs);
    rotations_.emplace_back(view.out, *view.layout.rotation, Rotation::Side::outputs);
    view_.in_rotation = &rotations_[0];
    view_.out_rotation = &rotations_[1];
  }
  bytes_ = view.stored_bits() / 8;
  prepare_inputs();
}

/// What the layout has of its own for inputs and, with them, for the scales of rows.
void Matrix::prepare_inputs() {
  constexpr std::uint16_t kOne = 0x3c00;  // FP16
  const PackedView& packed = *packed_;
  if (packed.row_scales.data != nullptr) {
    row_scales_ = to_floats(packed.row_scales);
    unit_scales_.assign(static_cast<std::size_t>(packed.out), kOne);
    view_.row_scales = row_scales_.data();
    view_.scales = reinterpret_cast<const std::byte*>(unit_scales_.data());
  }
  view_.hadamard = packed.layout.hadamard;
  if (packed.layout.input_bits == 0) return;
  view_.input_grid = &find_input_grid("packed layer", packed.layout.input_grid);
  view_.input_bits = packed.layout.input_bits;
  view_.int8 = view_.int8 && view_.input_bits < 8;  // odd numbers up to ±(2^bits − 1)
}

void Matrix::precede(std::span<const Matrix* const> next) {
  view_.next_in = next.front()->in();
  const std::size_t count = std::min<std::size_t>(next.size(), Upcoming::kMost);
  for (std::size_t i = 0; i < count; ++i) {
    const MatrixView& m = next[i]->view_;
    const bool packed = m.store == MatrixView::Store::packed;
    view_.next.rows[i] = {packed ? m.codes : m.dense, m.out,
                          packed ? m.row_bytes : next[i]->bytes_ / m.out};
  }
}

}  // namespace karat
